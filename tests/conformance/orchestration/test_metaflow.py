"""Metaflow keeps the contract of `orchestration`, and its own client reads the runs."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.orchestration.metaflow import MetaflowRunner
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.orchestration import Task, TaskStatus
from stackproof.testing.orchestration import Log, OrchestrationConformance, nothing, raising

pytestmark = pytest.mark.tools
ROLE, TOOL = "orchestration", "metaflow"
READ_WITHIN_S = 180
READ = """
import json, sys
from metaflow import Flow, namespace
namespace(None)
def read(step):
    task = step.task
    told = {artifact.id: artifact.data for artifact in task if artifact.id.startswith("task_")}
    after = sorted(before.id for before in step.parent_steps)
    return told | {"ok": task.successful, "attempts": task.current_attempt + 1, "after": after, "printed": task.stdout}
print(json.dumps([{
    "ok": run.successful,
    "tags": sorted(run.user_tags),
    "steps": {step.id: read(step) for step in run},
} for run in Flow(sys.argv[1])]))
"""


def recorded(python: Path, home: Path, flow: str) -> Any:
    """The runs of a flow, the newest first, as Metaflow's own client reads them."""
    done = subprocess.run(
        [str(python), "-c", READ, flow],
        capture_output=True,
        text=True,
        check=False,
        timeout=READ_WITHIN_S,
        env=os.environ | {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(home), "METAFLOW_USER": "reader"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.usefixtures("in_its_own_environment")
class TestMetaflow(OrchestrationConformance):
    deviations = MetaflowRunner.deviations


def test_a_run_is_a_run_of_a_flow_with_its_steps_for_metaflows_own_client(
    runner: Any, python: Path, home: Path
) -> None:
    log = Log()
    runner.run("flights", [log.task("train", "load", "größe"), log.task("load"), log.task("größe")], run_id="run:1")
    (run,) = recorded(python, home, "flights")
    assert run["ok"]
    assert {"stackproof", "pipeline:flights", "run:1"} <= set(run["tags"])
    (odd,) = set(run["steps"]) - {"start", "load", "join_1", "train", "end"}
    train, other = run["steps"]["train"], run["steps"][odd]
    assert (train["task_name"], train["task_status"], train["task_error"]) == ("train", "succeeded", None)
    assert other["task_name"] == "größe"
    assert train["after"] == ["join_1"]
    assert run["steps"]["join_1"]["after"] == sorted(["load", odd])
    assert "train: succeeded" in train["printed"]


def test_failures_retries_and_skipped_tasks_are_what_they_are_for_metaflows_own_client(
    runner: Any, python: Path, home: Path
) -> None:
    tasks = [
        Task("down", raising(Unavailable("no answer")), retries=1),
        Task("child", nothing, ("down",)),
        Task("other", nothing),
    ]
    assert [result.attempts for result in runner.run("failing", tasks)] == [2, 0, 1]
    (run,) = recorded(python, home, "failing")
    assert not run["ok"]
    steps = run["steps"]
    assert {name: steps[name]["task_status"] for name in ("down", "child", "other")} == {
        "down": "failed",
        "child": "skipped",
        "other": "succeeded",
    }
    assert steps["down"]["attempts"] == 2
    assert steps["down"]["task_error"].startswith("Unavailable: no answer")
    assert not steps["end"]["ok"]


def test_more_retries_than_metaflow_knows_are_made_nevertheless(runner: Any, python: Path, home: Path) -> None:
    (result,) = runner.run("down", [Task("down", raising(Unavailable("no answer")), retries=6)])
    assert (result.status, result.attempts) == (TaskStatus.FAILED, 7)
    (run,) = recorded(python, home, "down")
    assert run["steps"]["down"]["attempts"] == 5


def test_names_that_metaflow_refuses_are_told_apart(runner: Any, python: Path, home: Path) -> None:
    names = ["a/b", "A b", "a_b", "class", "next", "start", "join_1", "task_name", "", "9", "x" * 300, "x" * 301]
    results = runner.run("größe", [Task(name, nothing) for name in names])
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * len(names)
    (folder,) = (path for path in (home / ".metaflow").iterdir() if path.name.startswith("gr_e"))
    (run,) = recorded(python, home, folder.name)
    assert {step["task_name"] for step in run["steps"].values() if "task_name" in step} == set(names)
    assert "pipeline:größe" in run["tags"]


def test_independent_tasks_run_side_by_side_and_no_more_than_the_workers(
    runner: Any, run_four_that_meet: Callable[..., Any]
) -> None:
    results, most = run_four_that_meet(runner, wait_s=120)
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * 4
    assert most <= 2


def test_a_task_that_waits_for_one_branch_does_not_wait_for_another(runner: Any) -> None:
    free = threading.Event()

    def slow() -> None:
        assert free.wait(120)

    tasks = [Task("slow", slow), Task("first", nothing), Task("frees", free.set, ("first",))]
    assert {result.status for result in runner.run("branches", tasks)} == {TaskStatus.SUCCEEDED}


def test_a_run_within_a_task_is_a_run_of_its_own(runner: Any, python: Path, home: Path) -> None:
    log = Log()
    runner.run("outer", [Task("nests", lambda: runner.run("inner", [log.task("deep")]))])
    assert log.calls == ["deep"]
    assert [run["ok"] for name in ("inner", "outer") for run in recorded(python, home, name)] == [True, True]


def test_ctrl_c_from_outside_ends_the_flow_and_its_steps(runner: Any, python: Path, home: Path) -> None:
    ends = threading.Event()
    log = Log()

    def never_ends() -> None:
        threading.Timer(1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        ends.wait(60)

    with pytest.raises(KeyboardInterrupt):
        runner.run("stopped", [Task("endless", never_ends), log.task("next", "endless")])
    assert log.calls == []
    until = time.monotonic() + 30
    while flows_of(runner) and time.monotonic() < until:
        time.sleep(0.1)
    assert flows_of(runner) == []
    (run,) = recorded(python, home, "stopped")
    assert not run["ok"]
    assert "next" not in run["steps"]


def flows_of(runner: Any) -> list[tuple[int, str]]:
    """The processes of Metaflow in the adapter's process group."""
    command = ["ps", "-ww", "-eo", "pgid=,pid=,args="]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [(int(row[1]), row[2]) for row in rows if int(row[0]) == runner.bridge.pid and "flow.py" in row[2]]


def test_no_flow_outlives_a_killed_adapter(runner: Any) -> None:
    seen: list[int] = []

    def kills() -> None:
        seen.extend(pid for pid, _ in flows_of(runner))
        os.kill(runner.bridge.pid, signal.SIGKILL)

    with pytest.raises(Unavailable):
        runner.run("killed", [Task("kills", kills)])
    assert len(seen) == 2
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in seen) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [pid for pid in seen if Path(f"/proc/{pid}").exists()]


def test_a_step_whose_process_is_killed_does_not_run_its_task_twice(runner: Any, python: Path, home: Path) -> None:
    calls = []

    def kills_its_step() -> None:
        calls.append(1)
        for pid, command in flows_of(runner):
            if " step kills " in command:
                os.kill(pid, signal.SIGKILL)

    results = runner.run("shot", [Task("kills", kills_its_step, retries=1), Task("next", nothing, ("kills",))])
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * 2
    assert calls == [1]
    (run,) = recorded(python, home, "shot")
    assert (run["ok"], run["steps"]["kills"]["attempts"]) == (True, 2)


def test_an_error_of_the_listener_ends_the_run(runner: Any, run_with_a_failing_listener: Callable[[Any], None]) -> None:
    with pytest.raises(ValueError, match="not mine"):
        run_with_a_failing_listener(runner)


def test_a_home_that_cannot_be_written_is_told_with_metaflows_words(made: Callable[..., Any], home: Path) -> None:
    runner, log = made(home), Log()
    (home / ".metaflow").write_text("in the way")
    with pytest.raises(Unavailable, match="Metaflow could not run the pipeline 'never'"):
        runner.run("never", [log.task("first")])
    assert log.calls == []
    runner.close()


def test_a_persons_profile_stays_out(
    made: Callable[..., Any], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = tmp_path / "person"
    (person / ".metaflowconfig").mkdir(parents=True)
    profile = {"METAFLOW_DEFAULT_METADATA": "service", "METAFLOW_SERVICE_URL": "http://127.0.0.1:9"}
    (person / ".metaflowconfig" / "config.json").write_text(json.dumps(profile))
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("METAFLOW_DEFAULT_DATASTORE", "s3")
    runner = made(home)
    (result,) = runner.run("flights", [Task("load", nothing)])
    runner.close()
    assert result.status is TaskStatus.SUCCEEDED
    assert {path.name for path in person.iterdir()} == {".metaflowconfig"}
    assert {path.name for path in home.iterdir()} == {".metaflow"}


def test_a_profile_that_is_named_takes_the_runs(
    made: Callable[..., Any], python: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "config").mkdir(parents=True)
    (theirs / "config" / "config_team.json").write_text(json.dumps({"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(theirs)}))
    monkeypatch.setenv("METAFLOW_HOME", str(theirs / "config"))
    runner = made(home, profile="team")
    runner.run("flights", [Task("load", nothing)])
    runner.close()
    assert [run["ok"] for run in recorded(python, theirs, "flights")] == [True]
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("options", [{"workers": 0}, {"profile": "nobodys"}, {"worker": 2}])
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], home: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(home, **options)
