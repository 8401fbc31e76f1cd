"""Runs whose process was killed are found by the next one, and no others."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stackproof.adapters.orchestration.unfinished import Unfinished

RUNS = """
import sys, time
from pathlib import Path
from stackproof.adapters.orchestration.unfinished import Unfinished
with Unfinished("Tool", Path(sys.argv[1])).under_way("theirs"):
    print("under way", flush=True)
    time.sleep(600)
"""


def told(folder: Path) -> list[str]:
    found: list[str] = []
    Unfinished("Tool", folder).tell(found.append)
    return found


def test_nothing_is_told_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert told(tmp_path / "none") == []


def test_a_run_of_a_living_process_is_not_told_and_one_of_a_killed_process_is_once(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUNS, str(tmp_path)], stdout=subprocess.PIPE) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdout.readline() == b"under way\n"
        with Unfinished("Tool", tmp_path).under_way("ours"):
            assert told(tmp_path) == []
            os.kill(theirs.pid, signal.SIGKILL)
            theirs.wait()
            assert told(tmp_path) == ["theirs"]
            assert told(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its own"), Unfinished("Tool", tmp_path).under_way("run"):
        raise ValueError("its own")
    assert told(tmp_path) == []


def test_what_could_not_be_recorded_stops_nothing_and_is_told_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(b"")

    def refuse(run: str) -> None:
        if run == "first":
            raise OSError("no answer")

    with caplog.at_level(logging.WARNING):
        Unfinished("Tool", tmp_path).tell(refuse)
    assert "Tool could not record that the run first was killed: no answer" in caplog.text
    assert told(tmp_path) == ["first"]


def test_a_run_goes_on_where_it_cannot_be_marked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    ran = []
    with Unfinished("Tool", tmp_path / "file").under_way("run"):
        ran.append("run")
    assert ran == ["run"]
    assert "Tool will not notice if the process of the run run is killed" in caplog.text
