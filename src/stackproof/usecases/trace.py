"""From one served prediction back to the exact training data, every step verified."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stackproof.errors import Corrupted, NotFound
from stackproof.ledger import Entity
from stackproof.roles.serving import LoggedPrediction
from stackproof.stack.attached import is_attached
from stackproof.stack.workspace import Workspace
from stackproof.store.files import make_folders
from stackproof.store.tables import read_table
from stackproof.usecases.trace_attached import (
    attached_inputs,
    attached_model,
    attached_run,
    gaps,
    missing_model,
    run_behind,
)
from stackproof.usecases.trace_tools import with_tools, worked_on
from stackproof.usecases.verified import Verified


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Exact rows that a model was made from. `origin`: "step" for a table that a step of the run made,
    "dataset" for a dataset version that its steps took as it was.
    """

    name: str
    origin: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True)
class Trace:
    """The path of one prediction. `ok`: every piece of it is there, unchanged.

    `path`: from the prediction to the datasets. `served_from`: for each feature view looked up, the
    dataset version and instant of the row used. `tables`: the exact rows behind the model: the tables
    that the run's steps made, or the dataset versions themselves where they made none. `gaps`: what is
    not known, where another tool recorded a part of the path.
    """

    prediction: LoggedPrediction
    path: tuple[Verified, ...]
    served_from: tuple[tuple[str, str, str], ...]
    tables: tuple[TrainingTable, ...]
    gaps: tuple[str, ...] = ()

    @property
    def recorded_data(self) -> tuple[Verified, ...]:
        """The datasets behind the model that another tool recorded, and whose rows Stackproof has not seen."""
        return tuple(piece for piece in self.path if piece.what == "dataset version" and piece.by and piece.ok)

    @property
    def ok(self) -> bool:
        return all(piece.ok for piece in self.path)


def trace(workspace: Workspace, prediction_id: str) -> Trace:
    """Follow a prediction upstream. Raises `NotFound` for an unknown prediction.

    What is missing or damaged further up is a piece that is not ok.
    """
    ledger = workspace.ledger
    prediction = ledger.predictions.get(prediction_id)
    path = [
        Verified("prediction", prediction.id, True, _prediction_detail(prediction)),
        _entity(workspace, "deployment", prediction.deployment, _deployment_detail),
        _model(workspace, prediction.model),
    ]
    run_id = _run_of(workspace, prediction.model)
    run = _find(workspace, run_id)
    path.append(_run(workspace, run_id, run))
    if run is not None and is_attached(run):
        path += attached_inputs(ledger, run)
    elif run is not None:
        path += _inputs_of(workspace, run)
        path += _tables_of(workspace, run)
    path += _served_from(workspace, prediction)
    path = with_tools(workspace, path, _find(workspace, prediction.deployment))
    path += worked_on(workspace, run, prediction.deployment)
    path.append(_chain(workspace))
    sources = tuple(
        (view, version or "nothing found", "" if known_at is None else known_at.isoformat())
        for view, (version, known_at) in prediction.sources.items()
    )
    unknown = gaps(ledger, _find(workspace, prediction.deployment), _find(workspace, prediction.model), run)
    return Trace(prediction, tuple(path), sources, _training_tables(workspace, run), unknown)


def export_rows(workspace: Workspace, found: Trace, folder: Path) -> list[Path]:
    """Write the tables that the model came from as Parquet files into `folder`. Returns the files."""
    make_folders(folder.resolve())
    written = []
    for table in found.tables:
        file = folder / f"{table.name}.parquet"
        file.unlink(missing_ok=True)
        if table.origin == "step":
            file.write_bytes(workspace.store.blobs.read(table.digest))
        else:
            workspace.live.adapter("versioning", "snapshot").restore(table.name, table.digest, file)
        written.append(file)
    return written


def latest_prediction(workspace: Workspace) -> str:
    """The identifier of the newest served prediction. Raises `NotFound`."""
    predictions = workspace.ledger.predictions
    newest = predictions.after(predictions.latest_position() - 1, limit=1)
    if not newest:
        raise NotFound("No prediction was served yet", next_command="stackproof serve DEPLOYMENT")
    return str(newest[-1][1].id)


def _prediction_detail(prediction: LoggedPrediction) -> str:
    outputs = ", ".join(f"{name} {value}" for name, value in prediction.output.items())
    return f"{prediction.at:%Y-%m-%d %H:%M:%S} UTC: {outputs}"


def _find(workspace: Workspace, identifier: str) -> Entity | None:
    try:
        return workspace.ledger.get(identifier)
    except NotFound:
        return None


def _entity(workspace: Workspace, what: str, identifier: str, detail: Callable[[Entity], str]) -> Verified:
    entity = _find(workspace, identifier)
    if entity is None:
        return Verified(what, identifier, False, "is not in the ledger")
    return Verified(what, identifier, True, detail(entity))


def _deployment_detail(entity: Entity) -> str:
    routes: Any = entity.attributes["routes"]
    if is_attached(entity):
        return f"attached: something else serves it, as {entity.attributes['asked'] or 'an unknown model'}"
    return ", ".join(f"{model}@{version} {weight:.0%}" for model, version, _digest, weight in routes)


def _run(workspace: Workspace, run_id: str, run: Entity | None) -> Verified:
    if run is not None and is_attached(run):
        return attached_run(workspace.ledger, run)
    return _entity(workspace, "run", run_id, _run_detail)


def _run_detail(entity: Entity) -> str:
    commit = entity.attributes.get("git_commit")
    git = "" if commit is None else f", git {str(commit)[:12]}"
    changed = "" if entity.attributes.get("git_patch") is None else " with uncommitted changes"
    return f"pipeline {entity.attributes['pipeline']}, {entity.attributes.get('status', 'running')}{git}{changed}"


def _run_of(workspace: Workspace, model_id: str) -> str:
    model = _find(workspace, model_id)
    return run_behind(workspace.ledger, model) if model is not None else "run:unknown"


def _model(workspace: Workspace, model_id: str) -> Verified:
    """The model's package, fetched and verified against the digest in the ledger."""
    entity = _find(workspace, model_id)
    if entity is None:
        return missing_model(model_id)
    if is_attached(entity):
        return attached_model(workspace.ledger, entity)
    registry = workspace.live.adapter("tracking", "registry")
    facts: Any = entity.attributes

    def fetch() -> str:
        registered = registry.get_model(facts["name"], facts["version"])
        if registered.digest != facts["digest"]:
            raise Corrupted("The registry holds another package", got=registered.digest, allowed=facts["digest"])
        with tempfile.TemporaryDirectory() as scratch:
            registry.fetch_model(facts["name"], facts["version"], Path(scratch) / "package")
        return f"package {facts['digest'][:19]}…"

    return _verified("model version", model_id, fetch)


def _inputs_of(workspace: Workspace, run: Entity) -> list[Verified]:
    """Code, environment, feature views and dataset versions behind the run, the sources of each dataset too."""
    behind = workspace.ledger.lineage(run.id).entities
    checks: dict[str, tuple[str, Callable[[Workspace, Entity], str]]] = {
        "code": ("code", _code_detail),
        "env": ("environment", _lock_detail),
        "features": ("feature view", _definition_detail),
        "data": ("dataset version", _dataset_detail),
    }
    return [
        _verified(checks[entity.kind][0], entity.id, partial(checks[entity.kind][1], workspace, entity))
        for kind in checks
        for entity in behind
        if entity.kind == kind
    ]


def _served_from(workspace: Workspace, prediction: LoggedPrediction) -> list[Verified]:
    """The dataset versions that the prediction's features were looked up from."""
    versions = {version for version, _known_at in prediction.sources.values() if version is not None}
    pieces = []
    for identifier in sorted(versions):
        entity = _find(workspace, identifier)
        if entity is None:
            pieces.append(Verified("served from", identifier, False, "is not in the ledger"))
        else:
            pieces.append(_verified("served from", identifier, partial(_dataset_detail, workspace, entity)))
    return pieces


def _tables_of(workspace: Workspace, run: Entity) -> list[Verified]:
    outputs: Any = run.attributes.get("outputs", {})
    return [
        _verified("rows", f"{step} of {run.id}", partial(_rows_detail, workspace, digest))
        for step, (kind, digest) in outputs.items()
        if kind == "table"
    ]


def _training_tables(workspace: Workspace, run: Entity | None) -> tuple[TrainingTable, ...]:
    if run is None or is_attached(run):
        return ()
    facts: Any = run.attributes
    outputs = {step: digest for step, (kind, digest) in facts.get("outputs", {}).items() if kind == "table"}
    made = [_made_by_step(workspace, step, digest) for step, digest in outputs.items()]
    if outputs:
        return tuple(table for table in made if table is not None)
    used = {name: _dataset_rows(workspace, run, name) for name in facts["datasets"]}
    return tuple(TrainingTable(name, "dataset", facts["datasets"][name], rows) for name, rows in used.items())


def _made_by_step(workspace: Workspace, step: str, digest: str) -> TrainingTable | None:
    try:
        return TrainingTable(step, "step", digest, _rows(workspace, digest))
    except (NotFound, Corrupted):
        return None


def _dataset_rows(workspace: Workspace, run: Entity, name: str) -> int:
    digest: Any = run.attributes["datasets"]
    found = workspace.ledger.find("data", where={"name": name, "digest": digest[name]}, limit=1)
    rows: Any = found[0].attributes["rows"] if found else 0
    return int(rows)


def _rows(workspace: Workspace, digest: str) -> int:
    return int(read_table(workspace.store.blobs.path(digest)).height)


def _code_detail(workspace: Workspace, entity: Entity) -> str:
    digest: Any = entity.attributes["digest"]
    tree = workspace.store.blobs.tree(digest)
    for file in tree.files:
        workspace.store.blobs.read(file.digest)
    return f"{len(tree.files)} files, {digest[:19]}…"


def _lock_detail(workspace: Workspace, entity: Entity) -> str:
    facts: Any = entity.attributes
    lines = workspace.store.blobs.read(facts["lock"]).decode().splitlines()
    for _name, _version, archive in facts["local"]:
        workspace.store.blobs.read(archive)
    return f"{sum('==' in line for line in lines)} distributions {'with' if facts['hashed'] else 'without'} hashes"


def _definition_detail(workspace: Workspace, entity: Entity) -> str:
    return str(entity.attributes["digest"])[:19] + "…"


def _dataset_detail(workspace: Workspace, entity: Entity) -> str:
    facts: Any = entity.attributes
    snapshots = workspace.live.adapter("versioning", "snapshot")
    with tempfile.TemporaryDirectory() as scratch:
        file = snapshots.restore(facts["name"], facts["digest"], Path(scratch) / "data.parquet")
        return f"{facts['rows']:,} rows, {file.stat().st_size:,} bytes"


def _rows_detail(workspace: Workspace, digest: str) -> str:
    return f"{_rows(workspace, digest):,} rows, {digest[:19]}…"


def _chain(workspace: Workspace) -> Verified:
    report = workspace.ledger.verify()
    return Verified("ledger", f"{report.batches} batches", report.ok, report.detail)


def _verified(what: str, identifier: str, check: Callable[[], str]) -> Verified:
    try:
        return Verified(what, identifier, True, check())
    except (NotFound, Corrupted) as problem:
        return Verified(what, identifier, False, str(problem))
