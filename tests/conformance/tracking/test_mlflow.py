"""MLflow 3, in an environment of its own, keeps the contract of tracking: as a store of its own, and as a server."""

import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import xgboost

from stackproof.adapters.tracking.mlflow import MlflowTracking
from stackproof.errors import Conflict, NotFound, RefusedInput, Unavailable, UnknownName
from stackproof.roles.serving import Signature, TensorSpec
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.testing.tracking import TrackingConformance

pytestmark = pytest.mark.tools

ROLE, TOOL = "tracking", "mlflow"
AT = datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=UTC)
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@pytest.mark.usefixtures("in_its_own_environment")
class TestMlflowStore(TrackingConformance):
    deviations = MlflowTracking.deviations


@pytest.mark.usefixtures("in_its_own_environment")
class TestMlflowServer(TrackingConformance):
    deviations = MlflowTracking.deviations

    @pytest.fixture
    def usual_options(self, server: "Server") -> Mapping[str, object]:
        return {"uri": server.uri}

    @pytest.fixture(autouse=True)
    def _emptied(self, server: "Server") -> None:
        server.empty()


@dataclass
class Server:
    uri: str
    database: Path
    process: "subprocess.Popen[bytes]"

    def empty(self) -> None:
        """Everything but the default experiment goes: MLflow itself keeps what is deleted, with its name."""
        with sqlite3.connect(self.database) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            for (table,) in connection.execute(query).fetchall():
                if table not in ("alembic_version", "workspaces"):
                    kept = "WHERE experiment_id != 0" if table == "experiments" else ""
                    connection.execute(f"DELETE FROM {table} {kept}")
        connection.close()

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(python, tmp_path_factory.mktemp("server"), free_port())
    yield server
    server.end()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start_server(python: Path, folder: Path, port: int) -> Server:
    database = folder / "server.db"
    where = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(folder / "artifacts")]
    process = subprocess.Popen(
        [python, "-m", "mlflow", "server", *where, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        env=os.environ | QUIET,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(f"http://127.0.0.1:{port}", database, process)
    for _ in range(600):
        assert process.poll() is None
        try:
            with urlopen(f"{server.uri}/health", timeout=5):
                return server
        except OSError:
            time.sleep(0.1)
    server.end()
    raise AssertionError("MLflow's server did not start")


def with_mlflow(python: Path, uri: str, code: str) -> Any:
    """What `code` leaves in `told`, run with MLflow's own client as `client`."""
    head = "import json, mlflow\nfrom mlflow import MlflowClient\n"
    script = f"{head}mlflow.set_tracking_uri({uri!r})\nclient = MlflowClient()\n{code}\nprint(json.dumps(told))"
    done = subprocess.run([python, "-c", script], check=False, capture_output=True, text=True, env=os.environ | QUIET)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_was_written_is_read_by_mlflows_own_client_as_its_users_expect(
    tracking: Any, python: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(b"model")
    tracking.start_run("delays", run_id="run:01", name="first", tags={"owner": "ana"})
    tracking.log_params("run:01", {"depth": 3, "rate": 0.1, "kind": "tree", "fast": True})
    tracking.log_metrics("run:01", [Metric("loss", 0.5, 0, AT), Metric("loss", 0.25, 1, AT)])
    tracking.log_artifact("run:01", "plots/curve.onnx", package / "model.onnx")
    tracking.end_run("run:01", RunStatus.FINISHED)
    tracking.register_model("delay", package, run_id="run:01")
    tracking.set_alias("delay", "champion", 1)
    told = with_mlflow(
        python,
        f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}",
        """
experiment = client.get_experiment_by_name("delays")
(run,) = client.search_runs([experiment.experiment_id])
version = client.get_model_version_by_alias("delay", "champion")
package = mlflow.artifacts.download_artifacts("models:/delay@champion")
import os
told = {
    "run": [run.info.run_name, run.info.status, run.data.params, run.data.metrics, run.data.tags["owner"]],
    "history": [[p.step, p.value, p.timestamp] for p in client.get_metric_history(run.info.run_id, "loss")],
    "files": [file.path for file in client.list_artifacts(run.info.run_id, "plots")],
    "model": [version.name, int(version.version), version.run_id == run.info.run_id, sorted(os.listdir(package))],
}""",
    )
    at = round(AT.timestamp() * 1000)
    params = {"depth": "3", "rate": "0.1", "kind": "tree", "fast": "True"}
    assert told == {
        "run": ["first", "FINISHED", params, {"loss": 0.25}, "ana"],
        "history": [[0, 0.5, at], [1, 0.25, at]],
        "files": ["plots/curve.onnx"],
        "model": ["delay", 1, True, ["model.onnx"]],
    }


def test_a_model_that_can_be_served_is_loaded_by_mlflows_own_functions_with_its_columns(
    tracking: Any, python: Path, tmp_path: Path
) -> None:
    rows = np.array([[0.5, 1.0], [math.nan, 2.0], [3.0, 0.0]])
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, [0.0, 1.0, 2.0]), 3)
    inputs = (TensorSpec("distance", "FP64"), TensorSpec("stops", "INT64"))
    carrier = TensorSpec("carrier", "BYTES", ("AA", "UA"))
    tracking.start_run("delays", run_id="run:01")
    for name, columns in {"numbers": inputs, "strings": (inputs[0], carrier)}.items():
        (package := tmp_path / name).mkdir()
        booster.save_model(package / "model.json")
        Signature("xgboost-json", "model.json", columns, (TensorSpec("delay", "FP64"),)).write(package)
        model = tracking.register_model(name, package, run_id="run:01")
        back = tracking.fetch_model(name, 1, tmp_path / f"{name} again")
        assert (names_below(back), tracking.get_model(name, 1)) == (names_below(package), model)
    told = with_mlflow(
        python,
        f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}",
        f"""
import sys
sys.path.append({str(Path(xgboost.__file__).parents[1])!r})
import pandas
frame = pandas.DataFrame({{"distance": [0.5, float("nan"), 3.0], "stops": [1, 2, 0]}})
info = mlflow.models.get_model_info("models:/strings/1")
told = {{
    "pyfunc": mlflow.pyfunc.load_model("models:/numbers/1").predict(frame).tolist(),
    "booster": type(mlflow.xgboost.load_model("models:/strings/1")).__name__,
    "flavors": sorted(info.flavors),
    "columns": [[column.name, column.type.name] for column in [*info.signature.inputs, *info.signature.outputs]],
    "kind": client.get_experiment_by_name("delays").tags["mlflow.experimentKind"],
}}""",
    )
    expected = booster.predict(xgboost.DMatrix(rows)).tolist()
    assert told == {
        "pyfunc": expected,
        "booster": "Booster",
        "flavors": ["xgboost"],
        "columns": [["distance", "double"], ["carrier", "string"], ["delay", "double"]],
        "kind": "custom_model_development",
    }


@pytest.mark.parametrize(
    ("form", "inputs", "outputs"),
    [
        ("xgboost-json", (), (TensorSpec("delay", "FP64"),)),
        ("xgboost-json", (TensorSpec("x", "FP64"),), ()),
        ("xgboost-json", (TensorSpec("x", "FP32"),), (TensorSpec("delay", "FP64"),)),
        ("torch", (TensorSpec("x", "FP64"),), (TensorSpec("delay", "FP64"),)),
    ],
    ids=["no inputs", "no outputs", "another type", "another format"],
)
def test_a_package_that_mlflow_cannot_describe_is_registered_as_it_is(
    tracking: Any, tmp_path: Path, form: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> None:
    (package := tmp_path / "odd").mkdir()
    Signature(form, "model.bin", inputs, outputs).write(package)
    tracking.start_run("delays", run_id="run:01")
    tracking.register_model("odd", package, run_id="run:01")
    assert names_below(tracking.fetch_model("odd", 1, tmp_path / "again")) == ["signature.json"]


def test_runs_artifacts_and_models_that_others_wrote_are_read(
    made: Callable[..., Any], server: Server, python: Path, home: Path, tmp_path: Path
) -> None:
    server.empty()
    run_id = with_mlflow(
        python,
        server.uri,
        """
mlflow.set_experiment("theirs")
with mlflow.start_run(run_name="by hand") as run:
    mlflow.log_param("depth", 3)
    mlflow.log_metric("auc", 0.75)
    mlflow.log_text("hello", "notes/a.txt")
client.create_registered_model("delay")
client.create_model_version("delay", run.info.artifact_uri + "/notes", run.info.run_id)
client.set_registered_model_alias("delay", "champion", "1")
told = run.info.run_id""",
    )
    tracking = made(home, uri=server.uri)
    run = tracking.get_run(f"run:{run_id}")
    assert (run.experiment, run.name, run.status) == ("theirs", "by hand", RunStatus.FINISHED)
    assert (dict(run.params), dict(run.metrics)) == ({"depth": 3}, {"auc": 0.75})
    assert [found.id for found in tracking.search_runs("theirs")] == [run.id]
    assert [(file.name, file.digest, file.size) for file in tracking.list_artifacts(run.id)] == [("notes/a.txt", "", 5)]
    assert tracking.fetch_artifact(run.id, "notes/a.txt", tmp_path / "into").read_text() == "hello"
    model = tracking.get_model("delay", "champion")
    assert (model.version, model.run_id, model.digest) == (1, run.id, "")
    assert [path.name for path in tracking.fetch_model("delay", 1, tmp_path / "model").iterdir()] == ["a.txt"]


def test_ten_thousand_points_come_back_to_the_millisecond(tracking: Any) -> None:
    tracking.start_run("delays", run_id="run:01")
    written = [Metric("loss", step / 7, step, AT + timedelta(milliseconds=step)) for step in range(10_000)]
    tracking.log_metrics("run:01", written)
    tracking.flush()
    assert tracking.metric_history("run:01", "loss") == written


def test_equal_points_of_one_instant_are_all_kept_a_millisecond_apart(tracking: Any) -> None:
    tracking.start_run("delays", run_id="run:01")
    tracking.log_metrics("run:01", [Metric("loss", 1.0, 5, AT)] * 3 + [Metric("loss", -1.0, 5, AT)])
    tracking.flush()
    history = tracking.metric_history("run:01", "loss")
    assert [point.value for point in history] == [1.0, 1.0, 1.0, -1.0]
    assert [point.at for point in history] == [AT + timedelta(milliseconds=moved) for moved in range(4)]
    assert dict(tracking.get_run("run:01").metrics) == {"loss": -1.0}


def test_text_that_looks_like_another_value_and_strange_names_come_back(tracking: Any) -> None:
    params = {
        "a": "3",
        "b": 3,
        "c": "True",
        "d": True,
        "e": "nan",
        "f": "1e3",
        "../g": 1,
        "/h//": 2,
        ".": 3,
        "_x41_": 4,
    }
    tracking.start_run("delays", run_id="run:01")
    tracking.log_params("run:01", {**params, "not a number": math.nan})
    kept = dict(tracking.get_run("run:01").params)
    assert math.isnan(kept.pop("not a number"))
    assert kept == params
    assert all(type(kept[name]) is type(params[name]) for name in params)
    tracking.log_params("run:01", {"not a number": math.nan})


@pytest.mark.parametrize("options", [{}, None], ids=["store", "server"])
def test_names_that_no_address_can_hold_come_back(
    made: Callable[..., Any], server: Server, home: Path, tmp_path: Path, options: dict[str, object] | None
) -> None:
    server.empty()
    source = tmp_path / "source"
    (source / "in ner" / "empty").mkdir(parents=True)
    for name in ["a#1", "b?c", "p%41q", "sp ace", "e🚀", "_x41_", "c:d", "back\\slash", "in ner/ü"]:
        (source / name).write_text(name)
    tracking = made(home, **({"uri": server.uri} if options is None else options))
    tracking.start_run("delays", run_id="run:01")
    logged = tracking.log_artifact("run:01", "fol der#1/x", source)
    assert tracking.list_artifacts("run:01") == [logged]
    fetched = tracking.fetch_artifact("run:01", "fol der#1/x", tmp_path / "into")
    assert names_below(fetched) == names_below(source)
    tracking.register_model("my model/é: '\"", source, run_id="run:01")
    for alias in ("latest", "v1", "champ ion"):
        tracking.set_alias("my model/é: '\"", alias, 1)
        assert tracking.get_model("my model/é: '\"", alias).version == 1
    assert names_below(tracking.fetch_model("my model/é: '\"", 1, tmp_path / "model")) == names_below(source)


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_mlflow_would_change_or_cut_is_refused(tracking: Any) -> None:
    tracking.start_run("delays", run_id="run:01")
    refused: list[Callable[[], object]] = [
        lambda: tracking.log_metrics("run:01", [Metric("m", sys.float_info.max, 0, AT)]),
        lambda: tracking.log_metrics("run:01", [Metric("m", 1.0, 0, datetime(1969, 12, 31, tzinfo=UTC))]),
        lambda: tracking.log_metrics("run:01", [Metric("m", 1.0, 2**63, AT)]),
        lambda: tracking.log_params("run:01", {"p": "x" * 6001}),
        lambda: tracking.log_params("run:01", {"p" * 251: 1}),
        lambda: tracking.set_tags("run:01", {"t": "x" * 8001}),
        lambda: tracking.set_tags("run:01", {"mlflow.runName": "other"}),
        lambda: tracking.set_tags("run:01", {"stackproof.run": "run:02"}),
        lambda: tracking.start_run("x" * 501, run_id="run:02"),
    ]
    for call in refused:
        with pytest.raises(RefusedInput):
            call()
    tracking.flush()
    run = tracking.get_run("run:01")
    assert (dict(run.params), dict(run.metrics), dict(run.tags)) == ({}, {}, {})


def test_an_artifact_inside_another_is_a_conflict_because_mlflow_has_one_tree(tracking: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    tracking.start_run("delays", run_id="run:01")
    tracking.log_artifact("run:01", "models/best", file)
    for name in ("models", "models/best/inner", "registered_models/delay"):
        with pytest.raises(Conflict):
            tracking.log_artifact("run:01", name, file)
    assert [artifact.name for artifact in tracking.list_artifacts("run:01")] == ["models/best"]


def test_a_folder_that_replaces_a_folder_leaves_none_of_its_files(tracking: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / f"{folder.name}.txt").write_text(folder.name)
    tracking.start_run("delays", run_id="run:01")
    for source in (first, second, first / "first.txt", second):
        tracking.log_artifact("run:01", "same", source)
    assert names_below(tracking.fetch_artifact("run:01", "same", tmp_path / "into")) == ["second.txt"]


def test_an_unknown_option_says_which_one_was_meant(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'artifacts'"):
        made(tmp_path, artifact="x")


def test_a_server_that_dies_in_the_middle_of_a_run_loses_nothing_that_was_accepted(
    made: Callable[..., Any], python: Path, home: Path, tmp_path: Path
) -> None:
    port = free_port()
    server = start_server(python, tmp_path, port)
    tracking = made(home, uri=server.uri, retries=0, timeout_s=5)
    try:
        assert "a server of MLflow 3." in tracking.health().detail
        tracking.start_run("delays", run_id="run:01")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        health = tracking.health()
        assert (health.ok, server.uri in health.detail) == (False, True)
        for step in range(3):
            tracking.log_metrics("run:01", points(step))
        for call in (tracking.flush, lambda: tracking.end_run("run:01", RunStatus.FINISHED)):
            with pytest.raises(Unavailable, match="does not answer"):
                call()
        server = start_server(python, tmp_path, port)
        tracking.log_metrics("run:01", points(3))
        tracking.end_run("run:01", RunStatus.FINISHED)
        assert [point.step for point in tracking.metric_history("run:01", "loss")] == [0, 1, 2, 3]
    finally:
        with suppress(Unavailable):
            tracking.close()
        server.end()


def points(step: int) -> list[Metric]:
    return [Metric("loss", step / 3, step, AT + timedelta(seconds=step))]


def test_a_run_or_experiment_that_was_deleted_in_mlflow_is_gone(tracking: Any, python: Path, tmp_path: Path) -> None:
    tracking.start_run("delays", run_id="run:01")
    with_mlflow(
        python,
        f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}",
        "(run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])\n"
        "client.delete_run(run.info.run_id)\nclient.delete_experiment(run.info.experiment_id)\ntold = None",
    )
    with pytest.raises(NotFound):
        tracking.get_run("run:01")
    with pytest.raises(Conflict, match="mlflow experiments restore"):
        tracking.start_run("delays", run_id="run:02")
