"""Datasets: loaded, validated against what was declared, and kept as versions by content."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.errors import InvalidTable, RefusedInput, StepFailed, UnknownName
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.validation import Severity, ValidationReport
from stackproof.roles.versioning import DatasetVersion
from stackproof.stack.definitions import Dataset
from stackproof.stack.workspace import Workspace
from stackproof.store.tables import read_table, to_frame, write_table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Brought:
    """A dataset as it was brought in. `report` is None for one taken at a recorded version."""

    version: DatasetVersion
    table: "pl.DataFrame"
    report: ValidationReport | None


class Datasets:
    """Brings in each dataset at most once for each workspace, until `forget`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._brought: dict[str, Brought] = workspace.brought

    def forget(self) -> None:
        """Look at the sources anew the next time."""
        self._brought.clear()

    def bring_in(self, name: str) -> Brought:
        """Load, validate and snapshot a dataset, or read the version that the workspace pins.

        Raises `UnknownName`, `StepFailed` when its code raises, `RefusedInput` when an expectation
        with severity ERROR fails (then nothing is kept).
        """
        if name not in self._brought:
            pin = self._workspace.pins.get(name)
            self._brought[name] = self._load(name) if pin is None else self._restore(pin)
        return self._brought[name]

    def _restore(self, version: DatasetVersion) -> Brought:
        table = read_version(self._workspace, version)
        _record_version(self._workspace, version, table, [])
        return Brought(version, table, None)

    def _load(self, name: str) -> Brought:
        declared = self._workspace.project.datasets
        if name not in declared:
            raise UnknownName("dataset", name, declared, next_command="stackproof data")
        dataset = declared[name]
        sources = [self.bring_in(source) for source in dataset.inputs]
        table = _call(dataset, [source.table for source in sources])
        report = self._validated(dataset, table)
        version = keep_version(self._workspace, name, table, [source.version.id for source in sources])
        return Brought(version, table, report)

    def _validated(self, dataset: Dataset, table: "pl.DataFrame") -> ValidationReport:
        if table.height == 0:
            raise InvalidTable(f"The dataset {dataset.name!r} has no rows", got=", ".join(table.columns))
        named = {e.table for e in dataset.expectations if hasattr(e, "table")}
        others = {name: self.bring_in(name).table for name in sorted(named)}
        validator = self._workspace.live.adapter("validation", "validate")
        report: ValidationReport = validator.validate(dataset.name, table, dataset.expectations, others=others)
        if not report.ok:
            broken = [o for o in report.outcomes if not o.ok and o.expectation.severity is Severity.ERROR]
            raise RefusedInput(
                f"The dataset {dataset.name!r} does not keep what was declared about it",
                faults=[o.detail for o in broken],
                next_command=f"stackproof data {dataset.name}",
            )
        return report


def _call(dataset: Dataset, inputs: list["pl.DataFrame"]) -> "pl.DataFrame":
    try:
        result = dataset.function(*inputs)
    except Exception as error:  # the code is the user's: whatever it raises is reported as theirs
        raise StepFailed(
            f"Loading the dataset {dataset.name!r} failed", got=f"{type(error).__name__}: {error}"
        ) from error
    if not hasattr(result, "__arrow_c_stream__"):
        raise InvalidTable(
            f"The dataset {dataset.name!r} is no table", got=type(result).__name__,
            allowed="a Polars, pandas or Arrow table",
        )  # fmt: skip
    return to_frame(result)


def keep_version(
    workspace: Workspace, name: str, table: Any, derived_from: list[str], **attributes: Any
) -> DatasetVersion:
    """Snapshot a table as a version of the dataset `name`, and record it with what it came from."""
    with tempfile.TemporaryDirectory(dir=workspace.cache("scratch")) as scratch:
        file = Path(scratch) / f"{name}.parquet"
        write_table(table, file)
        version: DatasetVersion = workspace.live.adapter("versioning", "snapshot").snapshot(name, file)
    _record_version(workspace, version, to_frame(table), derived_from, **attributes)
    return version


def _record_version(
    workspace: Workspace, version: DatasetVersion, frame: "pl.DataFrame", derived_from: list[str], **attributes: Any
) -> None:
    facts: dict[str, Any] = {
        "name": version.name,
        "digest": version.digest,
        "rows": frame.height,
        "bytes": version.size,
        "columns": {column: str(kind) for column, kind in frame.schema.items()},
    }
    links = [Link(version.id, Relation.DERIVED_FROM, source) for source in derived_from]
    workspace.ledger.record(Entity(version.id, "data", version.created_at, facts | attributes), *links)


def read_version(workspace: Workspace, version: DatasetVersion) -> "pl.DataFrame":
    """The table of a version, every byte verified. Raises `NotFound`, `Corrupted`."""
    with tempfile.TemporaryDirectory(dir=workspace.cache("scratch")) as scratch:
        snapshots = workspace.live.adapter("versioning", "snapshot")
        file = snapshots.restore(version.name, version.digest, Path(scratch) / f"{version.name}.parquet")
        return read_table(file)
