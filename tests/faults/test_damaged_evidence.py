"""The three answers are yes by evidence, and no when the evidence is damaged."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from stackproof.errors import Corrupted, NotFound
from stackproof.ledger import Entity
from stackproof.roles.monitoring import Policy
from stackproof.roles.serving import LoggedPrediction
from stackproof.roles.versioning import DatasetVersion
from stackproof.stack.deployments import current_deployment, deploy
from stackproof.stack.pipeline import run_pipeline
from stackproof.stack.project import load_project
from stackproof.stack.watching import Watcher, unsent_alerts
from stackproof.stack.workspace import Workspace, open_workspace
from stackproof.store import new_id
from stackproof.usecases.ready import Answer, ready
from stackproof.usecases.trace import trace

PROJECT = """
import numpy as np
import polars as pl
import stackproof as sp

project = sp.Project("tiny", __file__)


@project.dataset()
def rows() -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(7).normal(10.0, 2.0, 2000)})


@project.step
def fitted(rows: pl.DataFrame, run: sp.Run, *, seed: int = 7) -> sp.Model:
    run.log_metrics({"mean": rows["x"].mean()})
    def save(path: str) -> None:
        with open(path, "w") as file:
            file.write(f"mean {rows['x'].mean()!r} seed {seed}")
    model = sp.package_model(save, inputs=sp.model_inputs(rows), reference=rows)
    run.register("tiny", model)
    return model


@project.step
def summary(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.describe()


train = project.pipeline("train", [fitted, summary])
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "tiny.py").write_text(PROJECT, encoding="utf-8")
    with open_workspace(load_project(tmp_path)) as workspace:
        run_pipeline(workspace, workspace.project.pipelines["train"])
        deploy(workspace, "tiny", {1: 1.0})
        yield workspace


def serve_predictions(workspace: Workspace, values: list[float], at: datetime | None = None) -> list[str]:
    """Log predictions as the server does, and wait until they are durable."""
    durable = Event()
    at = at or datetime.now(UTC)
    rows = [
        LoggedPrediction(
            id=new_id("prediction"), request_id="r", deployment="deployment:tiny@1", model="model:tiny@1", at=at,
            event_time=None, entity={}, features={"x": value}, sources={}, output={"probability": 0.5},
        )
        for value in values
    ]  # fmt: skip
    workspace.ledger.predictions.append(rows, lambda error: durable.set())
    assert durable.wait(10)
    return [row.id for row in rows]


def answer(workspace: Workspace, name: str) -> Answer:
    (found,) = ready(workspace, only=[name])
    return found


def watch_a_change(workspace: Workspace) -> None:
    watcher = Watcher(workspace, "tiny", policy=Policy(every=25))
    watcher.start()
    serve_predictions(workspace, [10 + 2 * math.sin(i * 1.7) for i in range(100)])
    serve_predictions(workspace, [4.47 + 0.9 * math.sin(i * 1.7) for i in range(200)])
    watcher.follow(lambda: True)


# ---------------------------------------------------------------- trace


def test_trace_is_yes_when_every_piece_is_whole(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    found = answer(workspace, "trace")
    assert found.yes, found.evidence
    assert "data:rows@" in " ".join(found.evidence)


def test_trace_is_no_when_the_model_s_file_was_changed(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    blobs = workspace.store.blobs
    (model,) = workspace.live.adapter("tracking", "registry").list_models()
    for file in blobs.tree(model.digest).files:
        if file.name == "model.json":
            stored = blobs.path(file.digest)
            stored.chmod(0o644)
            stored.write_bytes(stored.read_bytes() + b" ")
    found = answer(workspace, "trace")
    assert not found.yes
    assert "model version model:tiny@1 is damaged or missing" in " ".join(found.evidence)


def remove_dataset(workspace: Workspace) -> DatasetVersion:
    snapshots = workspace.live.adapter("versioning", "snapshot")
    (version,) = snapshots.versions("rows")
    snapshots.remove("rows", version.digest)
    assert isinstance(version, DatasetVersion)
    return version


def test_trace_is_no_when_a_dataset_version_was_removed(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    version = remove_dataset(workspace)
    found = answer(workspace, "trace")
    assert not found.yes
    assert f"dataset version {version.id} is damaged or missing" in " ".join(found.evidence)


def test_trace_is_no_when_the_ledger_was_tampered_with(workspace: Workspace) -> None:
    (prediction,) = serve_predictions(workspace, [9.0])
    with workspace.store.database.transaction() as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "select name from sqlite_master where type = 'table' and name like '%prediction%'"
            )
        ]
        columns = {t: [c[1] for c in connection.execute(f"pragma table_info({t})")] for t in tables}
        (name,) = [t for t in tables if "body" in columns[t]]
        connection.execute(f"update {name} set body = replace(body, '9.0', '8.0')")
    found = trace(workspace, prediction)
    assert not found.ok
    assert [piece.what for piece in found.path if not piece.ok] == ["ledger"]


def test_trace_is_no_before_anything_was_served(workspace: Workspace) -> None:
    found = answer(workspace, "trace")
    assert not found.yes
    assert "stackproof serve" in found.next_command


# ---------------------------------------------------------------- notice


def test_notice_is_yes_when_everything_was_watched_and_a_change_raised_an_alert(workspace: Workspace) -> None:
    watch_a_change(workspace)
    found = answer(workspace, "notice")
    assert found.yes, found.evidence
    assert any("alert:" in line for line in found.evidence)


def test_notice_is_no_when_the_monitor_was_switched_off(workspace: Workspace) -> None:
    watch_a_change(workspace)
    serve_predictions(workspace, [9.0, 9.5], at=datetime.now(UTC) - timedelta(minutes=6))
    found = answer(workspace, "notice")
    assert not found.yes
    assert "had to wait" in " ".join(found.evidence)


def test_notice_is_no_when_no_monitor_ever_watched(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    found = answer(workspace, "notice")
    assert not found.yes
    assert "no monitor ever watched" in " ".join(found.evidence)


def test_notice_is_no_when_the_only_alert_came_too_late(workspace: Workspace) -> None:
    (first,) = serve_predictions(workspace, [9.0], at=datetime.now(UTC) - timedelta(minutes=20))
    at = datetime.now(UTC)
    finding = {"test": "t", "column": "x", "p_value": 1e-9, "threshold": 1e-6}
    facts = {
        "deployment": "tiny",
        "title": "late",
        "findings": [finding],
        "first_prediction": first,
        "last_prediction": first,
    }
    position = workspace.ledger.predictions.latest_position()
    workspace.ledger.record(
        Entity(new_id("alert"), "alert", at, facts),
        Entity(new_id("monitor"), "monitor", at, {"deployment": "tiny", "position": position, "replay": False}),
    )
    assert not answer(workspace, "notice").yes


def test_notice_is_no_when_everything_was_looked_at_too_late(workspace: Workspace) -> None:
    watch_a_change(workspace)
    serve_predictions(workspace, [9.0], at=datetime.now(UTC) - timedelta(minutes=30))
    late = Watcher(workspace, "tiny")
    late.start()
    late.follow(lambda: True)
    found = answer(workspace, "notice")
    assert not found.yes
    assert "had to wait" in " ".join(found.evidence)


def test_a_replay_of_the_past_is_no_watching(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    replay = Watcher(workspace, "tiny")
    replay.start(position=0)
    replay.follow(lambda: True)
    found = answer(workspace, "notice")
    assert not found.yes
    assert "no monitor ever watched" in " ".join(found.evidence)


def test_a_watcher_goes_on_where_the_last_one_stopped(workspace: Workspace) -> None:
    for expected in (3, 2):
        serve_predictions(workspace, [9.0] * expected)
        watcher = Watcher(workspace, "tiny")
        watcher.start()
        watcher.follow(lambda: True)
        assert watcher.state.rows == expected


def test_an_alert_that_a_killed_watcher_recorded_is_sent_by_the_next_one(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def die(self: Watcher, alerts: object) -> None:
        if alerts:
            raise Killed

    sink = tmp_path / "alerts.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Watcher, "_send", die)
        with pytest.raises(Killed):
            watch_a_change(workspace)
    assert len(unsent_alerts(workspace, "tiny")) == 1
    for _ in range(2):
        Watcher(workspace, "tiny", sinks=[f"file:{sink}"]).start()
    assert len(sink.read_text().splitlines()) == 1


# ---------------------------------------------------------------- what is asked for


def test_a_prediction_that_does_not_exist_is_refused_not_replaced(workspace: Workspace) -> None:
    for name in ("reproduce", "trace"):
        with pytest.raises(NotFound):
            ready(workspace, prediction="prediction:NONSENSE", only=[name])


def test_each_deployment_s_package_is_fetched_anew_and_verified(workspace: Workspace) -> None:
    registry = workspace.live.adapter("tracking", "registry")
    (model,) = registry.list_models()
    blobs = workspace.store.blobs
    stored = blobs.path(next(f for f in blobs.tree(model.digest).files if f.name == "model.json").digest)
    stored.chmod(0o644)
    stored.write_bytes(b"another model")
    with open_workspace(workspace.project) as later, pytest.raises(Corrupted):
        current_deployment(later, "tiny")


# ---------------------------------------------------------------- reproduce


@pytest.mark.slow
def test_reproduce_is_yes_when_the_run_gives_the_same_again(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    found = answer(workspace, "reproduce")
    assert found.yes, found.evidence


def test_reproduce_is_no_when_a_dataset_version_was_removed(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    remove_dataset(workspace)
    assert not answer(workspace, "reproduce").yes


def test_reproduce_is_no_when_the_recorded_code_is_damaged(workspace: Workspace) -> None:
    serve_predictions(workspace, [9.0])
    blobs = workspace.store.blobs
    code = next(f for f in blobs.tree(workspace.code.digest).files if f.name == "tiny.py")
    stored = blobs.path(code.digest)
    stored.chmod(0o644)
    stored.write_text(stored.read_text().replace("10.0", "11.0"))
    assert not answer(workspace, "reproduce").yes


@pytest.mark.slow
def test_reproduce_is_no_when_the_code_does_not_give_the_same_again(tmp_path: Path) -> None:
    source = PROJECT.replace("mean {rows['x'].mean()!r}", "mean {np.random.default_rng().random()!r}")
    (tmp_path / "tiny.py").write_text(source, encoding="utf-8")
    with open_workspace(load_project(tmp_path)) as workspace:
        run_pipeline(workspace, workspace.project.pipelines["train"])
        found = answer(workspace, "reproduce")
    assert not found.yes
    assert any("model tiny differs" in line for line in found.evidence)
