"""Outcomes from what a check found, and the columns as checks see them."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from stackproof.adapters.validation import wording
from stackproof.roles.validation import ColumnType, Expectation, Outcome


def column_type(dtype: pl.DataType) -> ColumnType | None:
    """The narrowest type of the contract; None for a type that the contract has no word for."""
    if dtype.is_integer():
        return ColumnType.INTEGER
    if dtype.is_numeric():
        return ColumnType.NUMBER
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return ColumnType.STRING
    known: Mapping[type[pl.DataType], ColumnType] = {
        pl.Boolean: ColumnType.BOOLEAN,
        pl.Datetime: ColumnType.INSTANT,
    }
    return known.get(type(dtype))


def is_numeric(dtype: pl.DataType) -> bool:
    return column_type(dtype) in (ColumnType.INTEGER, ColumnType.NUMBER)


def is_empty(dtype: pl.DataType) -> bool:
    """A column that was made of nothing but null has a type of its own; it keeps every expectation of values."""
    return isinstance(dtype, pl.Null)


def passed(expectation: Expectation, checked: int, detail: str) -> Outcome:
    return Outcome(expectation, ok=True, failing=0, checked=checked, examples=(), detail=detail)


def failed(
    expectation: Expectation, failing: int, checked: int, detail: str, values: pl.Series | None = None
) -> Outcome:
    """`values`: those of the failing rows; the first few different ones become the examples."""
    return Outcome(expectation, ok=False, failing=failing, checked=checked, examples=_examples(values), detail=detail)


def no_column(expectation: Expectation, frame: pl.DataFrame, column: str) -> Outcome:
    return failed(expectation, frame.height, frame.height, wording.no_column(column, frame.columns))


def not_comparable(expectation: Expectation, frame: pl.DataFrame, column: str, with_what: str) -> Outcome:
    detail = wording.not_comparable(column, frame.schema[column], with_what)
    return failed(expectation, frame.height, frame.height, detail)


def _examples(values: pl.Series | None) -> tuple[str, ...]:
    return () if values is None else wording.examples(map(_text, values.head(100).to_list()))


def _text(value: Any) -> str:
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
