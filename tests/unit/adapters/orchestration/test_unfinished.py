"""Runs whose process was killed are found by the next one, and no others."""

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
with Unfinished(Path(sys.argv[1])).under_way("theirs"):
    print("under way", flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert list(Unfinished(tmp_path / "none").left()) == []


def test_a_run_of_a_living_process_is_not_left_and_one_of_a_killed_process_is_once(tmp_path: Path) -> None:
    unfinished = Unfinished(tmp_path)
    with subprocess.Popen([sys.executable, "-c", RUNS, str(tmp_path)], stdout=subprocess.PIPE) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdout.readline() == b"under way\n"
        with unfinished.under_way("ours"):
            assert list(unfinished.left()) == []
            os.kill(theirs.pid, signal.SIGKILL)
            theirs.wait()
            assert list(unfinished.left()) == ["theirs"]
            assert list(unfinished.left()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_not_left(tmp_path: Path) -> None:
    unfinished = Unfinished(tmp_path)
    with pytest.raises(ValueError, match="its own"), unfinished.under_way("run"):
        raise ValueError("its own")
    assert list(unfinished.left()) == []


def test_what_could_not_be_told_stays_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "killed").write_bytes(b"")
    unfinished = Unfinished(tmp_path)
    for found in unfinished.left():
        assert found == "killed"
        break
    assert list(unfinished.left()) == ["killed"]
