"""Aggregates over a window, at every instant at which one changes.

A window changes where a row enters it, at `known_at`, and where one leaves, a window's length later.
Polars finds the rows of each window, and its counts and extremes. The sums are made here, each from
the rows of its window alone: a running sum that subtracts what leaves keeps the rounding of every
value that ever passed, so that one large value would wipe out the small ones that come after it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from stackproof.roles.features import Aggregate, Feature

AT, SEEN, ROW = "at", "seen", "row"
FIRST, LAST = "first", "last"
ZERO_WHEN_EMPTY = (Aggregate.COUNT, Aggregate.SUM)
_SUMMED = (Aggregate.SUM, Aggregate.MEAN)


def value_name(number: int) -> str:
    """The column of the view's feature of that number."""
    return f"value_{number}"


def rolled(
    features: Sequence[Feature], span: int, keys: Sequence[str], source: pl.DataFrame, known: pl.DataFrame
) -> pl.DataFrame:
    """One row per entity and instant of change, sorted: keys, `at`, `seen`, and `value_n` of each feature.

    `known`: keys, `at` and `row` of the usable source rows. `span`: of the window, in microseconds.
    `seen`: the latest instant inside the window, null when it is empty.
    """
    inputs = {column: f"in_{n}" for n, column in enumerate(dict.fromkeys(f.column for f in features))}
    measured = source.select(_countable(column, source.schema[column]).alias(name) for column, name in inputs.items())
    entering = known.hstack(measured[known.get_column(ROW)].get_columns()).sort(*keys, AT, maintain_order=True)
    windows = _windows(features, span, keys, inputs, entering)
    sums = [
        _summed(windows, feature, value_name(n), entering.get_column(inputs[feature.column]))
        for n, feature in enumerate(features)
        if feature.aggregate in _SUMMED
    ]
    return windows.with_columns(sums)


def last_of_each(ordered: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Of neighbours that agree in `columns`, the last."""
    if ordered.height < 2:
        return ordered
    differs = pl.any_horizontal(pl.col(column) != pl.col(column).shift(-1) for column in columns)
    return ordered.filter(differs.fill_null(value=True))


def _countable(column: str, dtype: pl.DataType) -> pl.Expr:
    """NaN is missing in an aggregate; small integers and booleans get room to be summed."""
    value = pl.col(column)
    if dtype.is_float():
        return value.cast(pl.Float64).fill_nan(None)
    if isinstance(dtype, pl.Decimal | pl.Null):
        return value.cast(pl.Float64)
    if isinstance(dtype, pl.Boolean) or (dtype.is_integer() and not isinstance(dtype, pl.UInt64)):
        return value.cast(pl.Int64)
    return value


def _windows(
    features: Sequence[Feature], span: int, keys: Sequence[str], inputs: dict[str, str], entering: pl.DataFrame
) -> pl.DataFrame:
    """Each window's first and last row in `entering` (null when empty), counts (in `value_n` of sums) and extremes."""
    events = entering.with_columns(pl.col(AT).alias(SEEN), pl.int_range(pl.len(), dtype=pl.Int64).alias(ROW))
    leaving = entering.select(*keys, pl.col(AT) + span).unique()
    timeline = pl.concat([events, leaving], how="diagonal_relaxed").sort(*keys, AT)
    rolling = timeline.rolling(AT, period=f"{span}i", closed="right", group_by=keys)
    windows = rolling.agg(
        pl.col(SEEN).max(),
        pl.col(ROW).min().alias(FIRST),
        pl.col(ROW).max().alias(LAST),
        *(_rolled(f, pl.col(inputs[f.column])).alias(value_name(n)) for n, f in enumerate(features)),
    )
    return last_of_each(windows.sort(*keys, AT), [*keys, AT])


def _rolled(feature: Feature, value: pl.Expr) -> pl.Expr:
    if feature.aggregate is Aggregate.MIN:
        return value.min()
    if feature.aggregate is Aggregate.MAX:
        return value.max()
    return value.count().cast(pl.Int64)


def _summed(windows: pl.DataFrame, feature: Feature, name: str, values: pl.Series) -> pl.Series:
    """The sum or mean of each window; 0 or null where no value is."""
    counts = windows.get_column(name)
    numbers = values.fill_null(strategy="zero").to_numpy()
    filled = np.concatenate([numbers, np.zeros(1, numbers.dtype)])
    full = windows.get_column(FIRST).is_not_null()
    bounds = windows.filter(full).select(pl.col(FIRST), pl.col(LAST) + 1).to_numpy()
    sums = np.zeros(windows.height, dtype=filled.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        sums[full.to_numpy()] = np.add.reduceat(filled, bounds.ravel())[::2]
    return _result(name, feature, sums, counts)


def _result(name: str, feature: Feature, sums: "np.ndarray[Any, Any]", counts: pl.Series) -> pl.Series:
    if feature.aggregate is Aggregate.SUM:
        return pl.Series(name, sums)
    mean = pl.Series(name, sums).cast(pl.Float64) / counts
    return pl.select(pl.when(counts > 0).then(mean).alias(name)).to_series()
