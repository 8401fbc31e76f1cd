"""Steps by content: what makes a step's key, and how its result is kept and read back."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackproof.errors import Corrupted, NotFound, RefusedInput
from stackproof.ledger import Entity
from stackproof.roles.serving import Signature
from stackproof.stack.code import step_code_digest
from stackproof.stack.definitions import Dataset, Step
from stackproof.stack.models import Model
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id
from stackproof.store.tables import read_table, write_table

DECIDING_ROLES = ("features", "tuning", "automl")
"""Roles that a step asks for results; another tool there may give others."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A step's result in the store. `kind`: "table", "model" or "json"."""

    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One execution of a step: its key, its result, and what it logged."""

    id: str
    key: str
    kept: Kept
    log: tuple[Mapping[str, Any], ...]


def step_key(workspace: Workspace, step: Step, inputs: Mapping[str, str], params: Mapping[str, Any]) -> str:
    """The SHA-256 of all that decides a step's result.

    Its code, the digests of its inputs by name, its own parameters, its views, the environment, and
    the tools whose results a step may return.
    """
    project, roles = workspace.project, workspace.stack.roles
    declared: list[Step | Dataset] = [*project.steps.values(), *project.datasets.values()]
    decides = {
        "step": step.name,
        "code": step_code_digest(step, declared, project.folder),
        "inputs": dict(inputs),
        "params": {name: params[name] for name in step.defaults},
        "views": [repr(asdict(view)) for view in step.views],
        "environment": workspace.environment.digest,
        "tools": {role: [roles[role].tool, dict(roles[role].options)] for role in DECIDING_ROLES},
    }
    try:
        text = json.dumps(decides, sort_keys=True)
    except TypeError as error:
        raise RefusedInput(
            f"A parameter of the step {step.name!r} is no plain value", got=str(error),
            allowed="numbers, strings, booleans, lists and None",
        ) from error  # fmt: skip
    return hashlib.sha256(text.encode()).hexdigest()


def find_step(workspace: Workspace, key: str) -> StepRecord | None:
    """The newest execution under this key whose result is still whole; None when there is none."""
    for entity in workspace.ledger.find("step", where={"key": key}, limit=5):
        attributes: Any = entity.attributes
        record = StepRecord(entity.id, key, Kept(attributes["kind"], attributes["output"]), tuple(attributes["log"]))
        if _is_whole(workspace, record):
            return record
    return None


def _is_whole(workspace: Workspace, record: StepRecord) -> bool:
    blobs = workspace.store.blobs
    trees = [entry["tree"] for entry in record.log if "tree" in entry]
    if record.kept.kind == "model":
        trees.append(record.kept.digest)
    try:
        if record.kept.kind != "model":
            blobs.path(record.kept.digest)
        for tree in trees:
            for file in blobs.tree(tree).files:
                blobs.path(file.digest)
    except (NotFound, Corrupted):
        return False
    return True


def keep_step(workspace: Workspace, step: Step, key: str, value: Any, log: list[dict[str, Any]]) -> StepRecord:
    """Keep a result and record the execution. Raises `RefusedInput` for a result that can't be kept."""
    kept = _keep(workspace, step, value)
    record = StepRecord(new_id("step", now=workspace.clock()), key, kept, tuple(log))
    attributes: dict[str, Any] = {
        "name": step.name,
        "key": key,
        "kind": kept.kind,
        "output": kept.digest,
        "log": log,
    }
    workspace.ledger.record(Entity(record.id, "step", workspace.clock(), attributes))
    return record


def _keep(workspace: Workspace, step: Step, value: Any) -> Kept:
    blobs = workspace.store.blobs
    if isinstance(value, Model):
        return Kept("model", blobs.put_tree(value.package).digest)
    if hasattr(value, "__arrow_c_stream__"):
        with tempfile.TemporaryDirectory(dir=workspace.cache("scratch")) as scratch:
            file = Path(scratch) / "table.parquet"
            write_table(value, file)
            return Kept("table", blobs.put_file(file))
    try:
        return Kept("json", blobs.put_bytes(json.dumps(value, sort_keys=True).encode()))
    except TypeError as error:
        raise RefusedInput(
            f"The step {step.name!r} returned what cannot be kept", got=type(value).__name__,
            allowed="a table, a Model, or plain values (numbers, strings, booleans, lists, dicts, None)",
        ) from error  # fmt: skip


def read_kept(workspace: Workspace, kept: Kept) -> Any:
    """The value as the next step takes it, verified. Raises `NotFound`, `Corrupted`."""
    blobs = workspace.store.blobs
    if kept.kind == "table":
        return read_table(blobs.path(kept.digest))
    if kept.kind == "json":
        return json.loads(blobs.read(kept.digest))
    package = workspace.scratch / kept.digest.removeprefix("sha256:")
    if not package.exists():
        blobs.restore_tree(kept.digest, package)
    return Model(package, Signature.read(package))
