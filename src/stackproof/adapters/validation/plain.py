"""The expectations in plain Polars: those that Pandera has no words for, and keys.

Pandera has keys, but writes every failing row out as JSON, which takes far longer than the check
itself, and it fails on bytes that are no text. See docs/decisions/0003-pandera-for-validation.md.
"""

from collections.abc import Mapping

import polars as pl

from stackproof.adapters.validation import wording
from stackproof.adapters.validation.outcomes import (
    column_type,
    failed,
    is_empty,
    is_numeric,
    no_column,
    not_comparable,
    passed,
)
from stackproof.roles.validation import ColumnType, HasColumn, Missing, Outcome, References, RowCount, Unique


def has_column(expectation: HasColumn, frame: pl.DataFrame) -> Outcome:
    column, wanted = expectation.column, expectation.type
    if column not in frame.columns:
        return no_column(expectation, frame, column)
    dtype = frame.schema[column]
    found = column_type(dtype)
    fits = found is wanted or (wanted is ColumnType.NUMBER and found is ColumnType.INTEGER) or is_empty(dtype)
    if fits:
        return passed(expectation, frame.height, f"{column} is {wanted}")
    return failed(
        expectation,
        frame.height,
        frame.height,
        f"{column} is {found or dtype}, expected {wanted}",
        _some(frame, column),
    )


def unique(expectation: Unique, frame: pl.DataFrame) -> Outcome:
    """All rows of a group that agree fail; null agrees with null."""
    columns = list(expectation.columns)
    for column in columns:
        if column not in frame.columns:
            return no_column(expectation, frame, column)
        if frame.schema[column].is_nested() or isinstance(frame.schema[column], pl.Object):
            return not_comparable(expectation, frame, column, "itself")
    keys = frame.select(columns)
    twins = keys.filter(keys.is_duplicated()) if columns and frame.height else keys.clear()
    detail = wording.twins(columns, twins.height, frame.height)
    if twins.is_empty():
        return passed(expectation, frame.height, detail)
    return failed(expectation, twins.height, frame.height, detail, twins.to_struct())


def _some(frame: pl.DataFrame, column: str) -> pl.Series:
    return frame.get_column(column).head(100).drop_nulls()


def missing(expectation: Missing, frame: pl.DataFrame) -> Outcome:
    column, rows = expectation.column, frame.height
    if column not in frame.columns:
        return no_column(expectation, frame, column)
    nulls = frame.get_column(column).null_count()
    ok = wording.share_missing(nulls, rows) <= expectation.at_most
    detail = wording.missing(expectation, nulls, rows)
    return Outcome(expectation, ok=ok, failing=nulls, checked=rows, examples=(), detail=detail)


def row_count(expectation: RowCount, frame: pl.DataFrame) -> Outcome:
    rows, low, high = frame.height, expectation.at_least, expectation.at_most
    detail = wording.row_count(expectation, rows)
    if (high is not None and rows > high) or (low is not None and rows < low):
        return failed(expectation, wording.surplus(expectation, rows), rows, detail)
    return passed(expectation, rows, detail)


def references(expectation: References, frame: pl.DataFrame, others: Mapping[str, pl.DataFrame]) -> Outcome:
    column, other = expectation.column, others[expectation.table]
    place = f"{expectation.table}.{expectation.other_column}"
    if column not in frame.columns:
        return no_column(expectation, frame, column)
    if expectation.other_column not in other.columns:
        return failed(expectation, frame.height, frame.height, f"{place} is missing")
    values = frame.get_column(column).drop_nulls()
    allowed = other.get_column(expectation.other_column).drop_nulls()
    if is_empty(values.dtype) or values.is_empty():
        return passed(expectation, 0, f"{column} holds no value")
    common = _common_type(values.dtype, allowed.dtype)
    if common is None:
        return not_comparable(expectation, frame, column, f"{place} of the type {allowed.dtype}")
    lost = values.filter(~values.cast(common).is_in(allowed.cast(common).unique().implode()))
    if lost.is_empty():
        return passed(expectation, values.len(), f"every {column} occurs in {place}")
    detail = f"{wording.count(lost.len())} of {values.len():,} hold a {column} that does not occur in {place}"
    return failed(expectation, lost.len(), values.len(), detail, lost)


def _common_type(here: pl.DataType, there: pl.DataType) -> pl.DataType | None:
    """A type in which both can be compared exactly; None when there is none."""
    if here == there and column_type(here) is not None and not isinstance(here, pl.Categorical | pl.Enum):
        return here
    if is_empty(there):
        return here
    kinds = {column_type(here), column_type(there)}
    if kinds == {ColumnType.STRING}:
        return pl.String()
    if kinds == {ColumnType.INTEGER}:
        return pl.Int128()
    if kinds == {ColumnType.INSTANT}:
        return pl.Datetime("us", "UTC") if _both_zoned(here, there) else None
    return pl.Float64() if is_numeric(here) and is_numeric(there) else None


def _both_zoned(*dtypes: pl.DataType) -> bool:
    return all(isinstance(dtype, pl.Datetime) and dtype.time_zone is not None for dtype in dtypes)
