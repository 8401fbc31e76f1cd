"""`attach`: makes a project where there is none, and a deployment of what something else serves."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.stack import RoleChoice
from stackproof.stack.attached import ATTACHED, FIRST_PREDICTIONS, is_attached
from stackproof.stack.deployments import latest_entity
from stackproof.stack.file import default_stack, read_stack, write_stack
from stackproof.stack.project import STACK_FILE, project_file
from stackproof.stack.workspace import Workspace
from stackproof.usecases.attach_mlflow import attached_server, model_named
from stackproof.usecases.attach_rest import PASSWORD, TOKEN, USERNAME, MlflowServer

SERVICE = "service"
FEWEST = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class AttachedService:
    """A deployment that something else serves. `new`: this call recorded a state of it. `reference`: in words, what
    it is compared with. `lines`: what to put into the service.
    """

    id: str
    name: str
    model: str
    new: bool
    reference: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """What is attached. `read_at`: the end of the last whole reading of the MLflow server, "" when there is none.
    `services`: by name, predictions that were recorded, and requests that could not be.
    """

    server: str
    read_at: str
    runs: int
    models: int
    services: tuple[tuple[str, int, int], ...]


def ensure_project_of(folder: Path, url: str, *, timeout_s: float = 30.0) -> bool:
    """As `ensure_project`, once an MLflow server has answered there. Raises `Unavailable`, `RefusedInput`."""
    server = MlflowServer(url, timeout_s=timeout_s)
    server.experiments()
    return ensure_project(folder, mlflow_url=server.url)


def ensure_project(folder: Path, *, mlflow_url: str = "") -> bool:
    """Make the folder a project where it is none: a stack.toml, with the server as its tracking. Whether it was made.

    A project that there is stays as it is. Raises `Conflict` for one whose tracking is another MLflow server.
    """
    file = folder / STACK_FILE
    if file.exists():
        tracking = read_stack(file).roles["tracking"]
        if mlflow_url and tracking.tool == "mlflow" and tracking.options.get("uri") not in (None, mlflow_url):
            raise Conflict(
                f"{STACK_FILE} names another MLflow server", got=mlflow_url, allowed=str(tracking.options["uri"]),
                next_command=f"set uri in {STACK_FILE}, when the server has moved; or attach in another folder",
            )  # fmt: skip
        return False
    if _declares(folder):
        return False
    stack = default_stack(_project_name(folder))
    if mlflow_url:
        choice = RoleChoice("mlflow", environment="own", options={"uri": mlflow_url, **_secrets()})
        stack = replace(stack, roles={**stack.roles, "tracking": choice})
    write_stack(stack, file)
    return True


def _secrets() -> dict[str, str]:
    """For Stackproof's adapter: who asks, by the variable that says it."""
    names = {"token": TOKEN, "username": USERNAME, "password": PASSWORD}
    return {option: f"${{{name}}}" for option, name in names.items() if os.environ.get(name)}


def _declares(folder: Path) -> bool:
    try:
        project_file(folder)
    except NotFound:
        return False
    return True


def _project_name(folder: Path) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip("._-")[:64]
    return plain or "attached"


def attach_service(
    workspace: Workspace,
    name: str,
    *,
    model: str | None = None,
    reference: Path | None = None,
    first: int = FIRST_PREDICTIONS,
    ignore: Sequence[str] = (),
    path: str = "/predict",
) -> AttachedService:
    """Record that something else serves `name`, with which model version, and what it is compared with.

    `model`: "models:/delay@champion", "delay@3"; None when it is not known. `reference`: a Parquet or CSV file of
    inputs as they should be; without it, the `first` predictions. `ignore`: inputs that are not watched, such as
    identifiers. The same again changes nothing.
    Raises `RefusedInput`, `NotFound`, `UnknownName`, `Conflict` for a deployment that Stackproof serves itself.
    """
    if not _NAME.fullmatch(name):
        raise RefusedInput("A service's name is malformed", got=name, allowed="letters, digits, '.', '_' and '-'")
    chosen = model_named(workspace, model) if model else None
    compared: dict[str, Any] = {"first": first} if reference is None else _kept_reference(workspace, reference)
    if ignore:
        compared["ignore"] = sorted(ignore)
    facts: dict[str, Any] = {
        "name": name,
        "routes": [] if chosen is None else [[chosen.attributes["name"], chosen.attributes["version"], None, 1.0]],
        "because": None,
        ATTACHED: SERVICE,
        "asked": model,
        "reference": compared,
    }
    with workspace.store.database.transaction():
        state, new = _state(workspace, name, facts, [] if chosen is None else [chosen.id])
    words = f"the first {first:,} predictions" if reference is None else f"{reference.name}, {compared['rows']:,} rows"
    lines = (
        "from stackproof import RecordPredictions",
        f'app.add_middleware(RecordPredictions, deployment="{name}", path="{path}",'
        f' project="{workspace.project.folder}")',
    )
    return AttachedService(state.id, name, chosen.id if chosen else "", new, words, lines)


def _state(workspace: Workspace, name: str, facts: dict[str, Any], models: list[str]) -> tuple[Entity, bool]:
    """The newest state when it says the same, else a new one; and whether it is new."""
    earlier = latest_entity(workspace, name)
    if earlier is not None and not is_attached(earlier):
        raise Conflict(
            f"{name!r} is a deployment that Stackproof serves", got=earlier.id, allowed="another name",
            next_command=f"stackproof show {earlier.id}",
        )  # fmt: skip
    if earlier is not None and dict(earlier.attributes) == facts:
        return earlier, False
    number = 1 if earlier is None else int(earlier.id.rpartition("@")[2]) + 1
    state = Entity(f"deployment:{name}@{number}", "deployment", workspace.clock(), facts)
    workspace.ledger.record(state, *(Link(state.id, Relation.DEPLOYED_AS, model) for model in models))
    return state, True


def _kept_reference(workspace: Workspace, file: Path) -> dict[str, Any]:
    """The table as Parquet among the blobs, so that it stays as it is. Raises `NotFound`, `RefusedInput`."""
    import polars as pl

    from stackproof.store.tables import write_table

    readers: dict[str, Callable[[Path], pl.DataFrame]] = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
    if not file.is_file():
        raise NotFound("There is no reference file", got=str(file), allowed="a Parquet or CSV file")
    if file.suffix not in readers:
        raise RefusedInput("A reference must be a table", got=file.name, allowed=", ".join(readers))
    try:
        table = readers[file.suffix](file)
    except (pl.exceptions.PolarsError, OSError) as broken:
        raise RefusedInput("The reference can't be read", got=f"{file.name}: {broken}") from broken
    if table.height < FEWEST:
        raise RefusedInput("The reference is too small to compare with", got=table.height, allowed=f">= {FEWEST} rows")
    parquet = workspace.scratch / "reference.parquet"
    write_table(table, parquet)
    return {"digest": workspace.store.blobs.put_bytes(parquet.read_bytes()), "rows": table.height, "file": file.name}


def status(workspace: Workspace) -> Status:
    """What is attached to this project, and how much of it was read and recorded."""
    ledger = workspace.ledger
    server = attached_server(ledger)
    reading = next(iter(ledger.find("reading", limit=1)), None)
    facts: Any = {} if reading is None else reading.attributes
    names = {str(it.attributes["name"]) for it in ledger.find("deployment", where={ATTACHED: SERVICE}, limit=1000)}
    return Status(
        "" if server is None else str(server.attributes["url"]),
        "" if reading is None else f"{reading.at:%Y-%m-%d %H:%M:%S}",
        facts.get("runs", 0),
        facts.get("models", 0),
        tuple(
            (name, ledger.predictions.count(deployment_name=name), _missing(workspace, name)) for name in sorted(names)
        ),
    )


def _missing(workspace: Workspace, name: str) -> int:
    """Requests that the service's recorder told it could not record."""
    gaps: Any = [gap.attributes for gap in workspace.ledger.find("gap", where={"deployment": name}, limit=100_000)]
    return sum(int(gap["lost"]) + int(gap["not_understood"]) for gap in gaps)
