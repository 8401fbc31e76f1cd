"""A draft of expectations from a table itself."""

import math
from collections.abc import Iterator

import polars as pl

from stackproof.adapters.validation.outcomes import column_type, is_numeric
from stackproof.roles.validation import Between, ColumnType, Expectation, HasColumn, Missing, OneOf, Unique

CATEGORIES = 20
ROWS_PER_CATEGORY = 2
KEY_TYPES = (ColumnType.INTEGER, ColumnType.STRING, ColumnType.INSTANT)


def profile(frame: pl.DataFrame) -> list[Expectation]:
    """What each column keeps, by column order. In `frame` NaN is null already."""
    return [expectation for column in frame.columns for expectation in _of_column(frame.get_column(column))]


def _of_column(values: pl.Series) -> Iterator[Expectation]:
    kind = column_type(values.dtype)
    if kind is not None:
        yield HasColumn(column=values.name, type=kind)
    nulls = values.null_count()
    yield Missing(column=values.name, at_most=nulls / values.len() if values.len() else 0.0)
    there = values.drop_nulls()
    if is_numeric(values.dtype) and there.len():
        low, high = there.min(), there.max()
        yield Between(column=values.name, low=_not_above(low), high=_not_below(high))
    if kind is None or values.len() < 2:
        return
    distinct = there.n_unique()
    if kind in KEY_TYPES and not nulls and distinct == values.len():
        yield Unique(columns=(values.name,))
    elif kind is ColumnType.STRING and 0 < distinct <= min(CATEGORIES, values.len() // ROWS_PER_CATEGORY):
        yield OneOf(column=values.name, values=tuple(sorted(there.cast(pl.String).unique().to_list())))


def _not_above(number: object) -> float:
    """The number as a float that is not larger, which a large integer's nearest float may be."""
    assert number is not None
    nearest = float(number)  # type: ignore[arg-type]  # the extreme of a numeric column
    return nearest if nearest <= number else math.nextafter(nearest, -math.inf)  # type: ignore[operator]  # as above


def _not_below(number: object) -> float:
    return -_not_above(-number)  # type: ignore[operator]  # the extreme of a numeric column
