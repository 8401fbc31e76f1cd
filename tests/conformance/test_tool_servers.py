"""The servers of real tools: started on the store of their adapter, which then uses them, killed, and stopped."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import HasServer, ServerSpec, Setting
from stackproof.roles.orchestration import Task, TaskStatus
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.stack.live import tool_home
from stackproof.stack.servers.control import bring_down, bring_up, look
from stackproof.stack.servers.plan import Plan, Wanted
from stackproof.stack.servers.state import ServerState, Standing, running_servers
from stackproof.stack.workspace import utc_now

pytestmark = pytest.mark.tools
PATIENT_S = 180


class OneServer:
    """One tool's server in a project of its own, and its adapter."""

    def __init__(self, role: str, tool: str, python: Path, home: Path) -> None:
        self.home, self._python = home, python
        self._entry = registry.find(role, tool)
        self._own = tool_home(home, role, tool)
        self._own.mkdir(parents=True)
        self._opened: list[Any] = []

    def adapter(self, options: Mapping[str, object] | None = None) -> Any:
        setting = Setting(self._own, options or {})
        made = bridged(
            self._entry.role, self._entry.tool, adapter=self._entry.path, python=self._python, setting=setting
        )
        self._opened.append(made)
        return made

    def spec(self, **options: object) -> ServerSpec | None:
        adapter_class = registry.load(self._entry)
        assert isinstance(adapter_class, HasServer)
        return adapter_class.server(Setting(self._own, options), self._python)

    def up(self) -> ServerState:
        spec = self.spec()
        assert spec is not None
        (state,) = bring_up(self.home, Plan((Wanted(spec),)), lambda _: None, lambda: None)
        assert state.standing is Standing.UP, state.detail
        return state

    def close(self) -> None:
        for adapter in self._opened:
            adapter.close()
        bring_down(self.home)


Made = Callable[[str, str], OneServer]


@pytest.fixture
def server_of(tool_python: Callable[[str], Path], tmp_path: Path) -> Iterator[Made]:
    made: list[OneServer] = []

    def make(role: str, tool: str) -> OneServer:
        made.append(OneServer(role, tool, tool_python(tool), tmp_path / "home"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(url: str, body: object) -> Any:
    asked = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())


def page(url: str) -> str:
    """As a browser gets it."""
    with urlopen(Request(url, headers={"Accept": "text/html"}), timeout=30) as answer:
        return str(answer.read().decode())


def test_what_was_written_without_mlflows_server_and_with_it_is_one_store(server_of: Made, tmp_path: Path) -> None:
    mlflow = server_of("tracking", "mlflow")
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.bin").write_bytes(b"model")

    def track(tracking: Any, run_id: str) -> None:
        tracking.start_run("delays", run_id=run_id)
        tracking.log_metrics(run_id, [Metric("loss", 0.5, 0, utc_now())])
        tracking.log_artifact(run_id, "plots/curve", package / "model.bin")
        tracking.register_model("delay", package, run_id=run_id)
        tracking.end_run(run_id, RunStatus.FINISHED)

    def holds(tracking: Any, *run_ids: str) -> None:
        assert {run.id for run in tracking.search_runs("delays")} == set(run_ids)
        for number, run_id in enumerate(run_ids, 1):
            fetched = tracking.fetch_artifact(run_id, "plots/curve", tmp_path / f"{len(list(tmp_path.iterdir()))}")
            assert fetched.read_bytes() == b"model"
            into = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            assert (tracking.fetch_model("delay", number, into) / "model.bin").read_bytes() == b"model"

    alone = mlflow.adapter()
    track(alone, "run:01")
    alone.close()
    state = mlflow.up()
    through = mlflow.adapter(running_servers(mlflow.home)["mlflow"].options)
    assert state.url in through.health().detail
    holds(through, "run:01")
    track(through, "run:02")
    holds(through, "run:01", "run:02")
    through.close()
    found = post(f"{state.url}/api/2.0/mlflow/experiments/search", {"max_results": 10})
    assert "delays" in {experiment["name"] for experiment in found["experiments"]}
    assert "<title>MLflow</title>" in page(state.url)
    (mine,) = (e for e in found["experiments"] if e["name"] == "delays")
    runs = post(f"{state.url}/api/2.0/mlflow/runs/search", {"experiment_ids": [mine["experiment_id"]]})["runs"]
    ids = [run["info"]["run_id"] for run in runs]
    curves = [page(f"{state.url}/get-artifact?path=plots%2Fcurve&run_uuid={run_id}") for run_id in ids]
    assert curves == ["model", "model"]
    bring_down(mlflow.home)
    holds(mlflow.adapter(), "run:01", "run:02")


def test_mlflows_server_killed_in_the_middle_of_a_run_comes_back_and_nothing_is_lost(server_of: Made) -> None:
    mlflow = server_of("tracking", "mlflow")
    before = mlflow.up()
    tracking = mlflow.adapter({**before.options, "retries": 8})
    tracking.start_run("delays", run_id="run:01")
    os.kill(before.pid, signal.SIGKILL)
    for step in range(5):
        tracking.log_metrics("run:01", [Metric("loss", float(step), step, utc_now())])
    tracking.end_run("run:01", RunStatus.FINISHED)
    assert [point.step for point in tracking.metric_history("run:01", "loss")] == [0, 1, 2, 3, 4]
    (after,) = look(mlflow.home)
    assert (after.url, after.restarts) == (before.url, 1)


def test_a_run_uses_prefects_server_and_is_in_its_ui(server_of: Made) -> None:
    prefect = server_of("orchestration", "prefect")
    state = prefect.up()
    runner = prefect.adapter(running_servers(prefect.home)["prefect"].options)
    done: list[str] = []
    (result,) = runner.run("flights", [Task("load", lambda: done.append("load"))])
    assert (result.status, done) == (TaskStatus.SUCCEEDED, ["load"])
    (run,) = post(f"{state.url}/api/flow_runs/filter", {})
    until = time.monotonic() + PATIENT_S
    while run["state_name"] != "Completed" and time.monotonic() < until:
        (run,) = post(f"{state.url}/api/flow_runs/filter", {})
    assert run["state_name"] == "Completed"
    assert "<title>Prefect" in page(f"{state.url}/runs/flow-run/{run['id']}")
    assert (prefect.home / "tools" / "orchestration-prefect" / "prefect.db").exists()


def test_tensorboard_shows_the_runs_that_its_adapter_writes(server_of: Made) -> None:
    tensorboard = server_of("tracking", "tensorboard")
    state = tensorboard.up()
    tracking = tensorboard.adapter(state.options)
    tracking.start_run("delays", run_id="run:01")
    tracking.log_metrics("run:01", [Metric("loss", 0.5, 0, utc_now())])
    tracking.end_run("run:01", RunStatus.FINISHED)
    until = time.monotonic() + PATIENT_S
    while not (runs := json.loads(page(f"{state.url}/data/runs"))) and time.monotonic() < until:
        time.sleep(1)
    assert any("delays" in run for run in runs)


def test_a_tool_whose_options_name_a_server_has_none_of_ours(server_of: Made) -> None:
    assert server_of("tracking", "mlflow").spec(uri="http://127.0.0.1:5000") is None


def test_a_password_in_an_address_is_not_among_the_arguments(server_of: Made) -> None:
    spec = server_of("tracking", "mlflow").spec(uri="postgresql://ana:secret@127.0.0.1/mlflow", port=5000)
    assert spec is not None
    assert "secret" not in " ".join(spec.arguments)
    assert spec.port == 5000
