"""Dagster keeps the contract of `orchestration`, and its own instance and web server show the runs."""

import json
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.orchestration.dagster import DagsterRunner
from stackproof.errors import RefusedInput, StackproofError, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.orchestration import Task, TaskStatus
from stackproof.testing.orchestration import Log, OrchestrationConformance, nothing, raising

pytestmark = pytest.mark.tools
ROLE, TOOL = "orchestration", "dagster"
READ_WITHIN_S = 180
READ = """
import json, sys
from dagster import DagsterInstance
def read(instance, run):
    ops = instance.get_job_snapshot(run.job_snapshot_id).node_defs_snapshot.op_def_snaps
    return {
        "job": run.job_name,
        "status": run.status.value,
        "tags": run.tags,
        "steps": {step.step_key: [step.status.value, len(step.attempts_list)]
                  for step in instance.get_run_step_stats(run.run_id)},
        "ops": {op.name: [op.description, op.tags, sorted(one.name for one in op.input_def_snaps)] for op in ops},
        "logs": [record.user_message for record in instance.all_logs(run.run_id)],
        "errors": {event.step_key: event.step_failure_data.error.to_string() for event in events_of(instance, run)
                   if event.is_step_failure},
        "retried": [event.step_key for event in events_of(instance, run) if event.is_step_up_for_retry],
    }
def events_of(instance, run):
    return [record.dagster_event for record in instance.all_logs(run.run_id) if record.is_dagster_event]
with DagsterInstance.from_config(sys.argv[1]) as instance:
    print(json.dumps([read(instance, run) for run in instance.get_runs()]))
"""
ASKED = """
query Asked($id: ID!) {
  runOrError(runId: $id) {
    ... on Run {
      jobName
      status
      tags { key value }
      stepStats { stepKey status }
      executionPlan { steps { key inputs { dependsOn { key } } } }
    }
  }
}
"""


def recorded(python: Path, home: Path) -> Any:
    """The runs, the newest first, as Dagster's own API reads them."""
    command = [str(python), "-c", READ, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=READ_WITHIN_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.usefixtures("in_its_own_environment")
class TestDagster(OrchestrationConformance):
    deviations = DagsterRunner.deviations


def test_a_run_is_a_job_run_with_its_steps_for_dagsters_own_api(runner: Any, python: Path, home: Path) -> None:
    log = Log()
    runner.run("flights", [log.task("train", "load", "größe"), log.task("load"), log.task("größe")])
    (run,) = recorded(python, home)
    assert (run["job"], run["status"], run["tags"]) == ("flights", "SUCCESS", {"stackproof/pipeline": "flights"})
    (odd,) = set(run["ops"]) - {"load", "train"}
    assert run["ops"] == {
        "train": ["train", {"stackproof/task": "train"}, sorted(["load", odd])],
        "load": ["load", {"stackproof/task": "load"}, []],
        odd: ["größe", {"stackproof/task": "größe"}, []],
    }
    assert run["steps"] == {"train": ["SUCCESS", 1], "load": ["SUCCESS", 1], odd: ["SUCCESS", 1]}


def test_failures_retries_and_skipped_tasks_are_what_they_are_for_dagsters_own_api(
    runner: Any, python: Path, home: Path
) -> None:
    tasks = [
        Task("down", raising(Unavailable("no answer from the server")), retries=1),
        Task("child", nothing, ("down",)),
        Task("other", nothing),
    ]
    assert [result.attempts for result in runner.run("failing", tasks)] == [2, 0, 1]
    (run,) = recorded(python, home)
    assert run["status"] == "FAILURE"
    assert {name: step[0] for name, step in run["steps"].items()} == {"down": "FAILURE", "other": "SUCCESS"}
    assert run["retried"] == ["down"]
    assert list(run["errors"]) == ["down"]
    assert "Unavailable: no answer from the server" in run["errors"]["down"]
    assert "Dependencies for step child failed: ['down']. Not executing." in run["logs"]


def test_a_run_that_ctrl_c_stops_is_canceled_for_dagster(runner: Any, python: Path, home: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        runner.run("stopped", [Task("stop", raising(KeyboardInterrupt())), Task("next", nothing, ("stop",))])
    (run,) = recorded(python, home)
    assert run["status"] == "CANCELED"
    assert "next" not in run["steps"]


def test_ctrl_c_from_outside_ends_a_run_whose_tasks_do_not_end(runner: Any, python: Path, home: Path) -> None:
    ends = threading.Event()

    def never_ends() -> None:
        threading.Timer(1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        ends.wait(60)

    with pytest.raises(KeyboardInterrupt):
        runner.run("stopped", [Task("endless", never_ends), Task("next", nothing, ("endless",))])
    (run,) = recorded(python, home)
    assert run["status"] == "CANCELED"
    assert "next" not in run["steps"]


def test_runs_are_kept_over_a_restart_and_a_job_may_be_named_as_its_task(
    made: Callable[..., Any], python: Path, home: Path
) -> None:
    for _ in range(2):
        runner = made(home)
        runner.run("only", [Task("only", nothing)])
        runner.close()
    assert [run["job"] for run in recorded(python, home)] == ["only", "only"]


def test_names_that_dagster_refuses_are_told_apart(runner: Any, python: Path, home: Path) -> None:
    names = ["a/b", "a b", "a_b", "class", "context", "", "x" * 300, "x" * 301]
    results = runner.run("größe", [Task(name, nothing) for name in names])
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * len(names)
    (run,) = recorded(python, home)
    assert len(run["steps"]) == len(names)
    assert run["tags"] == {"stackproof/pipeline": "größe"}


def test_independent_tasks_run_side_by_side_and_no_more_than_the_workers(
    runner: Any, run_four_that_meet: Callable[..., Any]
) -> None:
    results, most = run_four_that_meet(runner, wait_s=60)
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * 4
    assert most <= 2


def test_a_task_that_waits_for_others_takes_no_worker(runner: Any) -> None:
    free = threading.Event()

    def slow() -> None:
        assert free.wait(60)

    waiting = [Task(f"waiting{number}", nothing, ("slow",)) for number in range(3)]
    results = runner.run("waiting", [Task("slow", slow), *waiting, Task("frees", free.set)])
    assert {result.status for result in results} == {TaskStatus.SUCCEEDED}


def test_a_run_within_a_task_is_a_run_of_its_own(runner: Any, python: Path, home: Path) -> None:
    log = Log()
    runner.run("outer", [Task("nests", lambda: runner.run("inner", [log.task("deep")]))])
    assert log.calls == ["deep"]
    assert {run["job"]: run["status"] for run in recorded(python, home)} == {"inner": "SUCCESS", "outer": "SUCCESS"}


def test_an_error_of_the_listener_ends_the_run(runner: Any, run_with_a_failing_listener: Callable[[Any], None]) -> None:
    with pytest.raises(ValueError, match="not mine"):
        run_with_a_failing_listener(runner)


def test_an_instance_that_disappears_in_the_middle_is_told_and_the_next_run_of_a_new_runner_is_well(
    runner: Any, made: Callable[..., Any], home: Path
) -> None:
    def remove() -> None:
        shutil.rmtree(home)
        home.write_text("in the way")

    log = Log()
    with pytest.raises(StackproofError, match="Dagster could not run the pipeline"):
        runner.run("removed", [Task("removes", remove), log.task("second", "removes")])
    home.unlink()
    again = made(home)
    (result,) = again.run("again", [Task("only", nothing)])
    assert result.status is TaskStatus.SUCCEEDED
    again.close()


def test_a_run_whose_process_was_killed_is_a_failed_one_once_there_is_another(
    runner: Any, run_that_is_killed: Callable[[Any], None], python: Path, home: Path
) -> None:
    run_that_is_killed(runner)
    assert [run["status"] for run in recorded(python, home)] == ["STARTED"]
    runner.run("after", [Task("nests", lambda: runner.run("inner", [Task("first", nothing)]))])
    assert {run["job"]: run["status"] for run in recorded(python, home)} == {
        "killed": "FAILURE", "after": "SUCCESS", "inner": "SUCCESS",
    }  # fmt: skip
    assert not list((home / "under-way").iterdir())


def test_a_dagster_yaml_that_cannot_be_read_is_told_before_anything_runs(made: Callable[..., Any], home: Path) -> None:
    (home / "dagster.yaml").write_text("storage: {nonsense: 1}\n")
    runner, log = made(home), Log()
    with pytest.raises(Unavailable, match=r"dagster\.yaml"):
        runner.run("never", [log.task("first")])
    assert log.calls == []
    runner.close()


def test_a_persons_own_instance_takes_the_runs_and_telemetry_stays_off(
    made: Callable[..., Any], python: Path, home: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    runner = made(home, dagster_home=str(theirs))
    runner.run("flights", [Task("load", nothing)])
    runner.close()
    assert [run["job"] for run in recorded(python, theirs)] == ["flights"]
    assert [path.name for path in home.rglob("*")] == ["under-way"]


def test_nothing_is_written_to_the_persons_home_and_no_telemetry_is_kept(
    made: Callable[..., Any], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = tmp_path / "person"
    person.mkdir()
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    runner = made(home)
    runner.run("flights", [Task("load", nothing)])
    runner.close()
    assert list(person.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", "history", "schedules", "under-way"}


@pytest.mark.parametrize("options", [{"workers": 0}, {"dagster_home": "/nowhere"}, {"worker": 2}])
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], home: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(home, **options)


# Its web server


def test_its_server_of_a_persons_own_instance_is_told_where_that_is(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    spec = DagsterRunner.server(
        Setting(tmp_path / "home", {"dagster_home": str(tmp_path), "port": 3000}), Path("/python")
    )
    assert (spec.folder, spec.variables["DAGSTER_HOME"], spec.port) == (tmp_path, str(tmp_path), 3000)
    with pytest.raises(RefusedInput, match=r"dagster\.yaml"):
        DagsterRunner.server(Setting(tmp_path, {"dagster_home": "/nowhere"}), Path("/python"))


@pytest.fixture
def web(
    runner: Any,
    python: Path,
    home: Path,
    free_port: Callable[[], int],
    running_server: Callable[..., AbstractContextManager[None]],
) -> Iterator[str]:
    """The address of the web server that `stackproof up` starts, after a run."""
    tasks = [Task("train", nothing, ("load",)), Task("load", nothing)]
    runner.run("flights", tasks, run_id="run:earlier")
    runner.run("flights", tasks, run_id="run:1")
    spec = DagsterRunner.server(Setting(home), python).at(free_port())
    log = home.with_name("webserver.log")
    with running_server(spec.arguments, health=spec.health, log=log, variables=spec.variables, folder=spec.folder):
        yield spec.url


def asked(web: str, query: str, **variables: str) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{web}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_dagsters_web_server_shows_the_run_that_the_link_names_and_its_graph(
    web: str, runner: Any, answers: Callable[[str], bool]
) -> None:
    assert runner.link("run:none", web) == ""
    assert runner.link("run:1", "") == ""
    address, _, run_id = runner.link("run:1", web).rpartition("/")
    assert address == f"{web}/runs"
    shown = asked(web, ASKED, id=run_id)["runOrError"]
    assert (shown["jobName"], shown["status"]) == ("flights", "SUCCESS")
    assert {"key": "stackproof/run", "value": "run:1"} in shown["tags"]
    assert {step["stepKey"]: step["status"] for step in shown["stepStats"]} == {"load": "SUCCESS", "train": "SUCCESS"}
    after = {
        step["key"]: [one["key"] for given in step["inputs"] for one in given["dependsOn"]]
        for step in shown["executionPlan"]["steps"]
    }
    assert after == {"load": [], "train": ["load"]}
    assert answers(f"{web}/runs/{run_id}")
