"""The project's datasets and feature views: bring them in, check them, make them readable online."""

from collections.abc import Sequence
from dataclasses import dataclass

from stackproof.errors import UnknownName
from stackproof.roles.features import FeatureRow, LookupRequest, Materialization, Value
from stackproof.roles.validation import ValidationReport
from stackproof.roles.versioning import DatasetVersion
from stackproof.stack.data import Datasets
from stackproof.stack.online import materialize_views
from stackproof.stack.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DatasetState:
    """A dataset as it is now. `is_new`: its content was not seen before."""

    version: DatasetVersion
    rows: int
    columns: int
    report: ValidationReport | None
    is_new: bool


def bring_in(workspace: Workspace, names: Sequence[str] = ()) -> list[DatasetState]:
    """Load, validate and snapshot the named datasets (all when empty), in the order declared.

    Raises `UnknownName`, and `RefusedInput` when an expectation of severity ERROR fails.
    """
    declared = workspace.project.datasets
    for name in names:
        if name not in declared:
            raise UnknownName("dataset", name, declared)
    known = {version.id for version in workspace.live.adapter("versioning", "snapshot").versions()}
    datasets, states = Datasets(workspace), []
    chosen = list(names) or list(declared)
    for done, name in enumerate(chosen, start=1):
        brought = datasets.bring_in(name)
        states.append(
            DatasetState(
                brought.version, brought.table.height, brought.table.width, brought.report,
                brought.version.id not in known,
            )
        )  # fmt: skip
        workspace.progress("datasets", done, len(chosen))
    return states


def materialize(workspace: Workspace, names: Sequence[str] = ()) -> list[Materialization]:
    """Make the named feature views (all when empty) readable online. Raises `UnknownName`."""
    declared = workspace.project.views
    for name in names:
        if name not in declared:
            raise UnknownName("feature view", name, declared)
    return materialize_views(workspace, [declared[name] for name in names or declared])


def materialized(workspace: Workspace) -> list[Materialization]:
    """What is readable online now, by view name."""
    found: list[Materialization] = workspace.live.adapter("features", "online").materialized()
    return found


def look_up(workspace: Workspace, view: str, entity: dict[str, Value]) -> FeatureRow:
    """The latest features of one entity. Raises `NotFound`, `RefusedInput`."""
    online = workspace.live.adapter("features", "online")
    row: FeatureRow = online.lookup(view, [LookupRequest(entity)])[0]
    return row
