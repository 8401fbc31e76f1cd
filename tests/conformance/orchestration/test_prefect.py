"""Prefect keeps the contract of `orchestration`, and its own client finds the runs in its API."""

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.orchestration import Task, TaskStatus
from stackproof.testing.orchestration import Log, OrchestrationConformance, nothing, raising

pytestmark = pytest.mark.tools
ROLE, TOOL = "orchestration", "prefect"
READ = """
import json, sys
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
with get_client(sync_client=True) as client:
    named = FlowFilter(name=FlowFilterName(any_=[sys.argv[1]]))
    runs = [{
        "state": run.state_name,
        "tasks": {task.name: {
            "state": task.state_name,
            "attempts": task.run_count,
            "tags": task.tags,
            "after": sorted(str(before.id) for before in task.task_inputs.get("wait_for", [])),
            "id": str(task.id),
        } for task in client.read_task_runs(flow_filter=named)},
    } for run in client.read_flow_runs(flow_filter=named)]
print(json.dumps(runs))
"""


@pytest.fixture(scope="module")
def api_url(
    python: Path,
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
    running_server: Callable[..., AbstractContextManager[None]],
) -> Iterator[str]:
    """A Prefect server of a user, as `prefect server start` starts it."""
    home, port = tmp_path_factory.mktemp("users-prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(python.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running_server(command, health=f"{url}/health", log=home / "log", variables=variables):
        yield url


@pytest.mark.usefixtures("in_its_own_environment")
class TestPrefect(OrchestrationConformance):
    @pytest.fixture
    def usual_options(self, api_url: str) -> Mapping[str, object]:
        return {"api_url": api_url}


@pytest.fixture
def runner(made: Callable[..., Any], home: Path, api_url: str) -> Any:
    return made(home, api_url=api_url)


def recorded(python: Path, api_url: str, flow: str, complete: Callable[[Any], bool]) -> Any:
    """The runs of a flow as Prefect's own client reads them, once its server has written what it was told."""
    environment = os.environ | {"PREFECT_API_URL": api_url, "DO_NOT_TRACK": "1"}
    found: Any = None
    for _ in range(10):
        done = subprocess.run(
            [str(python), "-c", READ, flow], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        if complete(found):
            return found
        time.sleep(1)
    raise AssertionError(found)


def test_a_run_is_a_flow_run_with_its_tasks_for_prefects_own_client(runner: Any, python: Path, api_url: str) -> None:
    log = Log()
    runner.run("flights {daily}", [log.task("train {x}", "load"), log.task("load")])
    (run,) = recorded(python, api_url, "flights {daily}", lambda runs: len(runs) == 1 and len(runs[0]["tasks"]) == 2)
    assert run["state"] == "Completed"
    train, load = run["tasks"]["train {x}"], run["tasks"]["load"]
    assert (train["state"], load["state"]) == ("Completed", "Completed")
    assert (train["after"], load["after"]) == ([load["id"]], [])
    assert train["tags"] == ["stackproof"]


def test_failures_retries_and_skipped_tasks_are_what_they_are_for_prefects_own_client(
    runner: Any, python: Path, api_url: str
) -> None:
    tasks = [
        Task("down", raising(Unavailable("no answer")), retries=1),
        Task("child", nothing, ("down",)),
        Task("other", nothing),
    ]
    results = runner.run("failing", tasks)
    assert [result.attempts for result in results] == [2, 0, 1]

    def complete(runs: Any) -> bool:
        return len(runs) == 1 and len(runs[0]["tasks"]) == 3 and runs[0]["tasks"]["down"]["state"] == "Failed"

    (run,) = recorded(python, api_url, "failing", complete)
    assert run["state"] == "Failed"
    assert {name: task["state"] for name, task in run["tasks"].items()} == {
        "down": "Failed",
        "child": "NotReady",
        "other": "Completed",
    }
    assert run["tasks"]["down"]["attempts"] == 2


def test_a_name_with_characters_that_prefect_refuses_is_shown_with_others_that_look_alike(
    runner: Any, python: Path, api_url: str
) -> None:
    runner.run("a/b & 5%", [Task("only", nothing)])
    assert len(recorded(python, api_url, "a／b ＆ 5％", lambda runs: len(runs) == 1)) == 1


def test_independent_tasks_run_side_by_side_and_no_more_than_the_workers(
    made: Callable[..., Any], home: Path, api_url: str, run_four_that_meet: Callable[..., Any]
) -> None:
    results, _ = run_four_that_meet(made(home, api_url=api_url, workers=2), wait_s=60)
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * 4


def test_a_task_that_waits_for_others_takes_no_worker(made: Callable[..., Any], home: Path, api_url: str) -> None:
    runner = made(home, api_url=api_url, workers=2)
    free = threading.Event()

    def slow() -> None:
        assert free.wait(60)

    tasks = [
        Task("slow", slow),
        *(Task(f"waiting{number}", nothing, ("slow",)) for number in range(3)),
        Task("frees", free.set),
    ]
    assert {result.status for result in runner.run("waiting", tasks)} == {TaskStatus.SUCCEEDED}


def test_an_error_of_the_listener_ends_the_run(runner: Any, run_with_a_failing_listener: Callable[[Any], None]) -> None:
    with pytest.raises(ValueError, match="not mine"):
        run_with_a_failing_listener(runner)


def test_a_server_that_does_not_answer_is_told_before_anything_runs(made: Callable[..., Any], home: Path) -> None:
    runner = made(home, api_url="http://127.0.0.1:9/api")
    assert not runner.health().ok
    log = Log()
    with pytest.raises(Unavailable, match="does not answer"):
        runner.run("never", [log.task("first")])
    assert log.calls == []


@pytest.mark.parametrize("options", [{"workers": 0}, {"api_url": "file:///etc"}, {"worker": 2}])
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], home: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(home, **options)


# On a server of its own


@pytest.fixture
def alone(made: Callable[..., Any], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Without a server of the user, but with their profile, which names another one."""
    person = tmp_path / "person"
    (person / ".prefect").mkdir(parents=True)
    (person / ".prefect" / "profiles.toml").write_text(
        'active = "cloud"\n[profiles.cloud]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\nPREFECT_API_KEY = "secret"\n'
    )
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    return made(home)


def servers_of(runner: Any) -> list[int]:
    """The processes below the adapter's own."""
    told = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [int(pid) for pid, parent, command in rows if int(parent) == runner.bridge.pid and "uvicorn" in command]


def test_a_project_has_its_own_database_and_the_persons_profile_stays_out(
    alone: Any, home: Path, tmp_path: Path
) -> None:
    log = Log()
    assert alone.health().ok
    alone.run("flights", [log.task("second", "first"), log.task("first")])
    assert log.calls == ["first", "second"]
    with sqlite3.connect(home / "prefect.db") as database:
        assert database.execute("SELECT name FROM flow").fetchall() == [("flights",)]
    assert [path.name for path in (tmp_path / "person" / ".prefect").iterdir()] == ["profiles.toml"]
    servers = servers_of(alone)
    assert len(servers) == 1
    alone.close()
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]


def test_no_server_outlives_a_killed_adapter(alone: Any) -> None:
    alone.run("flights", [Task("first", nothing)])
    (server,) = servers_of(alone)
    os.kill(alone.bridge.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while Path(f"/proc/{server}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{server}").exists()


def test_a_run_whose_process_was_killed_is_a_crashed_one_once_there_is_another(
    alone: Any, run_that_is_killed: Callable[[Any], None], home: Path
) -> None:
    run_that_is_killed(alone)
    alone.run("after", [Task("nests", lambda: alone.run("inner", [Task("first", nothing)]))])
    alone.close()
    with sqlite3.connect(home / "prefect.db") as database:
        flows = database.execute("SELECT flow.name, run.state_type FROM flow_run run JOIN flow ON flow.id = flow_id")
        assert dict(flows.fetchall()) == {"killed": "CRASHED", "after": "COMPLETED", "inner": "COMPLETED"}
        tasks = dict(database.execute("SELECT name, state_type FROM task_run").fetchall())
        assert set(tasks.values()) <= {"CRASHED", "COMPLETED"}
    assert not list((home / "under-way").iterdir())


def test_a_killed_run_of_which_the_server_wants_to_hear_nothing_stops_no_other(
    alone: Any, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "under-way").mkdir()
    (home / "under-way" / "no identifier").write_bytes(b"")
    log = Log()
    alone.run("after", [log.task("first")])
    assert log.calls == ["first"]
    assert "could not record that the run no identifier was killed" in caplog.text
    assert "answers with an error" in caplog.text


def test_a_server_that_dies_in_the_middle_of_a_run_or_between_two_is_started_again(alone: Any) -> None:
    log = Log()

    def kill() -> None:
        for pid in servers_of(alone):
            os.kill(pid, signal.SIGKILL)

    results = alone.run("killed", [Task("kills", kill), log.task("second", "kills")])
    assert [result.status for result in results] == [TaskStatus.SUCCEEDED] * 2
    kill()
    alone.run("after", [log.task("third")])
    assert log.calls == ["second", "third"]
