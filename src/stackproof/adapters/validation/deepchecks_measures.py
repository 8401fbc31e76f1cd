"""What a table breaks of an expectation, in figures: what Deepchecks' own checks do not count."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackproof.adapters.validation import wording
from stackproof.adapters.validation.expectations import columns_of
from stackproof.adapters.validation.pandas_columns import NUMERIC, Columns
from stackproof.roles.validation import (
    Between,
    ColumnType,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    References,
    RowCount,
    Unique,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """`failing` of `checked` rows fail; `detail` is one line."""

    ok: bool
    failing: int
    checked: int
    detail: str
    examples: tuple[str, ...] = ()


def measured(expectation: Expectation, columns: Columns, others: Mapping[str, Columns]) -> Measured:
    """`expectation` was checked."""
    for column in columns_of(expectation):
        if column not in columns.kinds:
            return _all_fail(columns, wording.no_column(column, columns.kinds))
    match expectation:
        case HasColumn():
            return _typed(expectation, columns.kinds[expectation.column], columns)
        case Missing():
            return missing(expectation, columns.nulls(expectation.column), columns.rows)
        case Between():
            return _between(expectation, columns)
        case OneOf():
            return _one_of(expectation, columns)
        case Unique():
            return _unique(expectation, columns)
        case References():
            return _references(expectation, columns, others[expectation.table])
        case RowCount():
            return _row_count(expectation, columns.rows)
    raise AssertionError(f"the kind of {expectation!r} was checked")


def _typed(expectation: HasColumn, kind: str, columns: Columns) -> Measured:
    fits = kind in (expectation.type, "null") or (expectation.type == ColumnType.NUMBER and kind in NUMERIC)
    told = f"{expectation.column} is {kind}"
    if fits:
        return Measured(True, 0, columns.rows, told)
    return _all_fail(columns, f"{told}, expected {expectation.type}")


def _one_of(expectation: OneOf, columns: Columns) -> Measured:
    if columns.is_other_than(expectation.column, (ColumnType.STRING,)):
        return _not_comparable(columns, expectation.column, "strings")
    values = columns.series(expectation.column).dropna()
    return _of_values(expectation.column, values, values.isin(expectation.values), wording.one_of(expectation.values))


def missing(expectation: Missing, nulls: int, rows: int) -> Measured:
    ok = wording.share_missing(nulls, rows) <= expectation.at_most
    return Measured(ok, nulls, rows, wording.missing(expectation, nulls, rows))


def _between(expectation: Between, columns: Columns) -> Measured:
    column, low, high = expectation.column, expectation.low, expectation.high
    if columns.is_other_than(column, NUMERIC):
        return _not_comparable(columns, column, "numbers")
    values = columns.series(column).dropna()
    fits = values.notna()
    if not columns.is_empty(column):
        fits = fits & (values >= low if low is not None else True) & (values <= high if high is not None else True)
    return _of_values(column, values, fits, wording.sides(low, high))


def _unique(expectation: Unique, columns: Columns) -> Measured:
    """All rows of a group that agree fail; null agrees with null."""
    keys = list(expectation.columns)
    for column in keys:
        if columns.is_nested(column):
            return _not_comparable(columns, column, "itself")
    frame = columns.frame(keys)
    twins = frame[frame.duplicated(keep=False)] if keys else frame.head(0)
    told = wording.twins(keys, len(twins), columns.rows)
    examples = wording.examples(", ".join(map(_text, row)) for row in twins.head(100).itertuples(index=False))
    return Measured(not len(twins), len(twins), columns.rows, told, examples)


def _references(expectation: References, columns: Columns, other: Columns) -> Measured:
    column, place = expectation.column, f"{expectation.table}.{expectation.other_column}"
    if expectation.other_column not in other.kinds:
        return _all_fail(columns, f"{place} is missing")
    kind = other.kinds[expectation.other_column]
    comparable = NUMERIC if kind in NUMERIC else (kind,)
    is_known = kind in list(ColumnType) or other.is_empty(expectation.other_column)
    if not is_known or (not other.is_empty(expectation.other_column) and columns.is_other_than(column, comparable)):
        return _not_comparable(columns, column, f"{place} of the type {kind}")
    if columns.has_zone(column) != other.has_zone(expectation.other_column) and not other.is_empty(
        expectation.other_column
    ):
        return _all_fail(columns, f"one of {column} and {place} has no zone")
    values = columns.series(column).dropna()
    return _of_values(column, values, values.isin(other.series(expectation.other_column).dropna()), f"in {place}")


def _row_count(expectation: RowCount, rows: int) -> Measured:
    low, high = expectation.at_least, expectation.at_most
    ok = (low is None or rows >= low) and (high is None or rows <= high)
    return Measured(ok, 0 if ok else wording.surplus(expectation, rows), rows, wording.row_count(expectation, rows))


def _of_values(column: str, values: Any, fits: Any, allowed: str) -> Measured:
    wrong = values[~fits.astype(bool)]
    told = wording.values(column, len(wrong), len(values), allowed)
    return Measured(
        not len(wrong), len(wrong), len(values), told, wording.examples(map(_text, wrong.head(100).tolist()))
    )


def _all_fail(columns: Columns, detail: str) -> Measured:
    return Measured(False, columns.rows, columns.rows, detail)


def _not_comparable(columns: Columns, column: str, with_what: str) -> Measured:
    return _all_fail(columns, wording.not_comparable(column, columns.kinds[column], with_what))


def _text(value: Any) -> str:
    text = str(value)
    return "None" if text in ("<NA>", "NaT") else text
