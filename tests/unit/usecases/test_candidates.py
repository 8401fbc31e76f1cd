"""A candidate runs in a process of its own, which can be killed with all that it started, and opened again."""

import sys
from pathlib import Path

import pytest

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.errors import Unavailable, UnknownName
from stackproof.prove.measuring import family
from stackproof.roles.tracking import Metric
from stackproof.testing.tracking import AT
from stackproof.usecases.candidates import (
    Place,
    bridge_call_ms,
    candidate,
    import_seconds,
    lines_to_change,
    place_of,
    versions,
)

HERE = Place(Path(sys.executable))


def test_a_killed_candidate_is_gone_closes_quietly_and_is_opened_again_over_the_same_home(tmp_path: Path) -> None:
    embedded = candidate("tracking", "embedded", HERE, {})
    running = embedded.open(tmp_path)
    pid = running.pid
    assert pid is not None
    running.adapter.start_run("proof", run_id="run:1")
    running.adapter.log_metrics("run:1", [Metric("loss", 0.5, 0, AT)])
    running.adapter.flush()
    running.kill()
    assert running.pid is None
    assert family(pid) == []
    running.close()
    again = embedded.open(tmp_path)
    assert again.pid != pid
    assert [point.value for point in again.adapter.metric_history("run:1", "loss")] == [0.5]
    again.close()
    again.close()


def test_a_tool_without_a_lock_runs_in_the_interpreter_of_the_caller(tmp_path: Path) -> None:
    assert place_of("embedded", Environments(tmp_path), Locks()) == HERE
    assert not list(tmp_path.iterdir())


def test_the_lines_that_differ_are_those_of_the_roles_table() -> None:
    own = Place(HERE.python, Locks().find("mlflow", Locks().pythons("mlflow")[0]))
    code, stack = lines_to_change("tracking", "embedded", HERE, {})
    assert (code.values, stack.values) == ((0.0,), (0.0,))
    code, stack = lines_to_change("tracking", "mlflow", own, {})
    assert (code.values, stack.values) == ((0.0,), (2.0,))  # tool, environment
    _, stack = lines_to_change("tracking", "mlflow", own, {"uri": "http://127.0.0.1:1"})
    assert stack.values == (4.0,)  # and the table of options with one


def test_versions_are_those_that_the_lock_was_asked_for() -> None:
    lock = Locks().find("mlflow", Locks().pythons("mlflow")[0])
    assert versions("mlflow", Place(HERE.python, lock), "") == {"mlflow": lock.pins["mlflow"]}
    assert versions("embedded", HERE, "0.1.0").keys() == {"stackproof"}
    assert versions("other", HERE, "7")["other"] == "7"


def test_an_import_is_timed_in_a_new_process_and_one_that_fails_is_told() -> None:
    assert 0 < import_seconds(HERE.python, "decimal") < 60
    assert 0 < import_seconds(HERE.python, "stackproof.adapters.tracking.embedded") < 60
    with pytest.raises(Unavailable, match=r"no_such_module failed\. Got: ModuleNotFoundError"):
        import_seconds(HERE.python, "no_such_module")


def test_an_empty_call_over_the_bridge_takes_some_time(tmp_path: Path) -> None:
    assert 0 < bridge_call_ms(tmp_path, calls=20) < 1_000


def test_an_option_that_there_is_not_is_refused_before_anything_starts() -> None:
    with pytest.raises(UnknownName, match="option of embedded"):
        candidate("serving", "embedded", HERE, {"workers": 3})
