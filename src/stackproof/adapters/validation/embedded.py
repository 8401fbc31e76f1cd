"""Validation with Pandera on Polars: every expectation has its outcome, whatever the table holds."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import ClassVar

import polars as pl
import polars.selectors as cs

from stackproof.adapters.arrow_tables import no_table
from stackproof.adapters.validation import plain
from stackproof.adapters.validation.expectations import check
from stackproof.adapters.validation.pandera_checks import Checked, check_with_pandera
from stackproof.adapters.validation.profiling import profile
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.table import Table
from stackproof.roles.validation import (
    Between,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    Outcome,
    References,
    RowCount,
    Unique,
    ValidationReport,
)


class PanderaValidator:
    """Fills the role `validation`. In `Unique`, null agrees with null."""

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"validate", "profile"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting) -> None:
        """Nothing is kept below the setting's home."""

    def health(self) -> Health:
        pandera = version("pandera")
        return Health(ok=True, version=pandera, detail=f"Pandera {pandera} on Polars {pl.__version__}")

    def close(self) -> None:
        """Nothing is held."""

    def validate(
        self,
        name: str,
        table: Table,
        expectations: Sequence[Expectation],
        *,
        others: Mapping[str, Table] | None = None,
    ) -> ValidationReport:
        frame = _frame(name, table)
        other_frames = {other: _frame(other, given) for other, given in (others or {}).items()}
        check(expectations, other_frames)
        for_pandera: dict[int, Checked] = {n: e for n, e in enumerate(expectations) if isinstance(e, Between | OneOf)}
        found = check_with_pandera(frame, for_pandera)
        outcomes = (
            found[n] if n in found else _plain_outcome(e, frame, other_frames) for n, e in enumerate(expectations)
        )
        return ValidationReport(name, frame.height, tuple(outcomes))

    def profile(self, table: Table) -> list[Expectation]:
        return profile(_frame("the table", table))


def _plain_outcome(expectation: Expectation, frame: pl.DataFrame, others: Mapping[str, pl.DataFrame]) -> Outcome:
    match expectation:
        case HasColumn():
            return plain.has_column(expectation, frame)
        case Missing():
            return plain.missing(expectation, frame)
        case Unique():
            return plain.unique(expectation, frame)
        case RowCount():
            return plain.row_count(expectation, frame)
        case References():
            return plain.references(expectation, frame, others)
    raise AssertionError(f"the kind of {expectation!r} was checked")


def _frame(name: str, table: Table) -> pl.DataFrame:
    """The table with NaN as null: a missing value, as the contract says."""
    try:
        frame = table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as unreadable:
        raise no_table(name, table, unreadable) from unreadable
    return frame.with_columns(cs.float().fill_nan(None))
