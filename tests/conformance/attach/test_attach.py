"""What a team has already: a real MLflow server that its own client filled, and a real FastAPI service."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

import stackproof
from stackproof.cli.main import cli
from stackproof.errors import Unavailable
from stackproof.stack.watching import Watcher
from stackproof.stack.workspace import find_project, open_workspace
from stackproof.usecases.attach_mlflow import attach_mlflow

pytestmark = pytest.mark.tools
HERE = Path(__file__).parent
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
WORKERS = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answers(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert process.poll() is None
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


class Mlflow:
    """A real server, and what the team does with it."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder, self.port = python, folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        where = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        where += ["--artifacts-destination", str(self.folder / "artifacts")]
        where += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        self.process = subprocess.Popen(
            [self.python, "-m", "mlflow", "server", *where], env=os.environ | QUIET, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        answers(f"{self.url}/health", self.process)

    def team(self, what: str) -> dict[str, str]:
        """What the team did, outside a repository; the runs' identifiers by their names."""
        script = self.folder / "team.py"
        script.write_text((HERE / "team.py").read_text())
        done = subprocess.run(
            [self.python, str(script), self.url, what], check=False, capture_output=True, text=True,
            env=os.environ | QUIET, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        made: dict[str, str] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
        return made

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def mlflow(tool_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    server = Mlflow(tool_python("mlflow"), tmp_path_factory.mktemp("mlflow"))
    yield server
    server.end()


@pytest.fixture(scope="module")
def team_runs(mlflow: Mlflow) -> dict[str, str]:
    return mlflow.team("first")


class Service:
    """The team's service under uvicorn, with several workers. It has nothing of Stackproof but its source."""

    def __init__(self, python: Path, project: Path, folder: Path, *, durable: bool) -> None:
        self.port = free_port()
        ours = folder / "path"
        ours.mkdir(exist_ok=True)
        if not (ours / "stackproof").exists():
            (ours / "stackproof").symlink_to(Path(stackproof.__file__).parent)
        variables = {"PYTHONPATH": str(ours), "PROJECT": str(project), "DURABLE": "yes" if durable else "no"}
        command = [python, "-m", "uvicorn", "service:app", "--app-dir", HERE, "--workers", str(WORKERS)]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"],
            env=os.environ | variables, start_new_session=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        answers(f"http://127.0.0.1:{self.port}/pid", self.process)

    def ask(self, flight: dict[str, Any]) -> str:
        """The prediction's identifier; "" when no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/predict", json.dumps(flight), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return ""
        finally:
            connection.close()
        assert (answer.status, body) == (200, {"probability": 0.5, "model_version": 1})
        return answer.headers["x-prediction-id"]

    def worker(self) -> int:
        with urlopen(f"http://127.0.0.1:{self.port}/pid", timeout=30) as answer:
            return int(answer.read())

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            if how is signal.SIGKILL:
                os.killpg(self.process.pid, how)
            else:
                self.process.send_signal(how)
        self.process.wait(timeout=120)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "joined"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(environment_with: Callable[..., Path], project: Path, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*, durable: bool) -> Service:
        python = environment_with("fastapi", "fastapi", "uvicorn")
        started.append(Service(python, project, tmp_path, durable=durable))
        return started[-1]

    yield start
    for service in started:
        service.end(signal.SIGKILL)


def command(project: Path, *arguments: str) -> Any:
    """What the command says, as JSON."""
    done = CliRunner().invoke(cli, [*arguments, "--project", str(project), "--format", "json"], catch_exceptions=False)
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)


def recorded(project: Path) -> dict[str, int]:
    """The number of the flight of each prediction."""
    with open_workspace(find_project(project)) as workspace:
        kept = workspace.ledger.predictions.after(0, limit=1_000_000)
        assert workspace.ledger.verify().ok
    numbers: Any = {one.id: one.features["number"] for _, one in kept}
    assert len(numbers) == len(kept)
    return numbers


def flights(numbers: range, shift: float = 0.0) -> list[dict[str, Any]]:
    drawn = random.Random(3)
    return [{"number": number, "distance": drawn.gauss(shift, 1.0)} for number in numbers]


def ask_all(service: Service, asked: list[dict[str, Any]]) -> dict[str, int]:
    """The numbers of the flights that were answered, by their prediction."""
    with ThreadPoolExecutor(6) as threads:
        identifiers = list(threads.map(service.ask, asked))
    return {identifier: flight["number"] for identifier, flight in zip(identifiers, asked, strict=True) if identifier}


def test_an_empty_folder_joins_a_server_as_the_teams_own_client_filled_it(
    mlflow: Mlflow, team_runs: dict[str, str], project: Path
) -> None:
    first = command(project, "attach", "mlflow", mlflow.url)
    assert (first["runs"], first["models"], first["aliases"], first["without_data"]) == (5, 2, 1, 1)
    shown = command(project, "show", f"run:{team_runs['with data']}")
    assert shown["entity"]["attributes"]["params"] == {"depth": "3", "eta": "0.1"}
    assert {link["relation"] for link in shown["upstream"]} == {"used"}
    again = command(project, "attach", "mlflow", mlflow.url)
    assert (again["new"], again["changed"]) == (0, 0)


def test_a_prediction_of_a_real_service_is_traced_into_mlflow_and_a_change_is_noticed(
    mlflow: Mlflow, team_runs: dict[str, str], project: Path, serve: Callable[..., Service]
) -> None:
    command(project, "attach", "mlflow", mlflow.url)
    what = ["--model", "models:/delay@champion", "--reference-first", "200", "--ignore", "number"]
    command(project, "attach", "service", "delay", *what)
    service = serve(durable=True)
    answered = ask_all(service, flights(range(300)))
    assert len(answered) == 300
    path = {piece["what"]: piece for piece in command(project, "trace", next(iter(answered)))["path"]}
    assert path["run"]["id"] == f"run:{team_runs['with data']}"
    page = f"{mlflow.url}/#/experiments/1/runs/{team_runs['with data']}"
    assert path["run"]["link"] == f"{page}?workflowType=machine_learning"
    assert "s3://flights/2013.parquet" in path["dataset version"]["detail"]
    with open_workspace(find_project(project)) as workspace:
        watcher = Watcher(workspace, "delay", heartbeat_s=0.0)
        watcher.start()
        assert watcher.look() == []
        ask_all(service, flights(range(300, 700), 8.0))
        assert {finding.column for alert in watcher.look() for finding in alert.findings} >= {"distance"}
    said = {
        answer["name"]: answer["yes"] for answer in command(project, "ready", "--only", "trace", "--only", "notice")
    }
    assert said == {"trace": True, "notice": True}


def test_whatever_was_answered_is_recorded_though_workers_are_killed(
    project: Path, serve: Callable[..., Service]
) -> None:
    command(project, "attach", "service", "delay")
    service = serve(durable=True)
    asked = flights(range(900))
    answered = ask_all(service, asked[:100])
    with ThreadPoolExecutor(1) as other:
        under_way = other.submit(ask_all, service, asked[100:700])
        for _ in range(2):
            time.sleep(0.5)
            os.kill(service.worker(), signal.SIGKILL)
        answered |= under_way.result()
    with ThreadPoolExecutor(1) as other:
        under_way = other.submit(ask_all, service, asked[700:])
        time.sleep(0.3)
        service.end(signal.SIGKILL)
        answered |= under_way.result()
    kept = recorded(project)
    assert len(answered) > 100
    assert answered.items() <= kept.items()
    assert sorted(kept.values()) == sorted(set(kept.values()))
    assert set(kept.values()) <= {flight["number"] for flight in asked}


def test_in_the_background_all_is_recorded_when_the_service_ends_in_order(
    project: Path, serve: Callable[..., Service]
) -> None:
    command(project, "attach", "service", "delay")
    service = serve(durable=False)
    answered = ask_all(service, flights(range(400)))
    service.end()
    assert len(answered) == 400
    assert recorded(project) == answered
    assert command(project, "attach")["services"] == [["delay", 400, 0]]


def test_a_server_killed_while_it_is_read_leaves_nothing_half_and_is_read_on(
    mlflow: Mlflow, team_runs: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackproof.usecases import attach_rest

    monkeypatch.setattr(attach_rest, "RUNS_AT_ONCE", 1)
    read = attach_rest.MlflowServer.artifacts
    left = iter((True, True))

    def read_and_kill(self: attach_rest.MlflowServer, run_id: str) -> tuple[list[str], bool]:
        if not next(left, False):
            mlflow.end()
        return read(self, run_id)

    command(project, "attach", "service", "other")
    with open_workspace(find_project(project)) as workspace:
        with monkeypatch.context() as killing:
            killing.setattr(attach_rest.MlflowServer, "artifacts", read_and_kill)
            with pytest.raises(Unavailable, match="gone after 2 runs"):
                attach_mlflow(workspace, mlflow.url)
        assert len(workspace.ledger.find("run")) == 2
        assert workspace.ledger.find("reading") == []
        mlflow.start()
        reading = attach_mlflow(workspace, mlflow.url)
    assert (reading.runs, reading.models) == (5, 2)
    changed = mlflow.team("later")
    later = command(project, "attach", "mlflow", mlflow.url)
    assert (later["runs"], later["models"]) == (6, 3)
    assert command(project, "show", "model:delay@3")["entity"]["attributes"]["run"] == f"run:{changed['newest']}"
