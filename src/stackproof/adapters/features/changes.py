"""When the features of a view change, and to what.

The value of a feature is constant between two instants at which something enters or leaves. So one
table of changes, made once, answers for any instant: the join looks into it, and the very same table
is what is readable online. Instants are whole microseconds since 1970 in UTC.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from stackproof.roles.features import Aggregate, Feature, FeatureView

MICROSECOND = timedelta(microseconds=1)
AT, SEEN, ROW = "at", "seen", "row"


@dataclass(frozen=True, slots=True)
class Changes:
    """`index`: the keys (`key_0`, ...), `at` (from when on), `row` (where in `values`); sorted, no two alike.

    `values`: the features by name. `seen`: the instant of the latest source row used, by the same row
    numbers; null when a window is empty. `rows`: source rows with a key and an instant.
    `watermark`: the latest instant of those; None with no rows.
    """

    index: pl.DataFrame
    values: pl.DataFrame
    seen: pl.Series
    rows: int
    watermark: int | None


def micros(span: timedelta) -> int:
    return span // MICROSECOND


def instants(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as microseconds since 1970; a timestamp without a zone is read as UTC."""
    if isinstance(dtype, pl.Null):
        return pl.col(column).cast(pl.Int64)
    return pl.col(column).dt.epoch("us")


def key_names(view: FeatureView) -> list[str]:
    return [f"key_{position}" for position in range(len(view.entity))]


def changes_of(view: FeatureView, source: pl.DataFrame) -> Changes:
    """The changes of a view whose source was checked."""
    known = _known(view, source)
    watermark = known.get_column(AT).max()
    assert watermark is None or isinstance(watermark, int)
    index, values, seen = _plain(view, source, known) if view.window is None else _windowed(view, source, known)
    return Changes(index, values, seen, known.height, watermark)


def _known(view: FeatureView, source: pl.DataFrame) -> pl.DataFrame:
    """Keys, instant and row number of the source rows that have all of them, in the source's order."""
    names = key_names(view)
    keys = [_key(column, source.schema[column]).alias(name) for name, column in zip(names, view.entity, strict=True)]
    at = instants(view.known_at, source.schema[view.known_at]).alias(AT)
    return source.select(*keys, at).with_row_index(ROW).drop_nulls()


def _key(column: str, dtype: pl.DataType) -> pl.Expr:
    textual = isinstance(dtype, pl.Categorical | pl.Enum | pl.Null)
    return pl.col(column).cast(pl.String) if textual else pl.col(column)


def _plain(
    view: FeatureView, source: pl.DataFrame, known: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    order = [*key_names(view), AT]
    index = _last_of_each(known.sort(order, maintain_order=True), order)
    values = source.select(pl.col(feature.column).alias(feature.name) for feature in view.features)
    seen = source.select(instants(view.known_at, source.schema[view.known_at]).alias(SEEN)).to_series()
    return index, values, seen


def _last_of_each(ordered: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Of neighbours that agree in `columns`, the last."""
    if ordered.height < 2:
        return ordered
    differs = pl.any_horizontal(pl.col(column) != pl.col(column).shift(-1) for column in columns)
    return ordered.filter(differs.fill_null(value=True))


def _windowed(
    view: FeatureView, source: pl.DataFrame, known: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
    assert view.window is not None
    keys, span = key_names(view), micros(view.window)
    inputs = {column: f"in_{n}" for n, column in enumerate(dict.fromkeys(f.column for f in view.features))}
    measured = source.select(_countable(column, source.schema[column]).alias(name) for column, name in inputs.items())
    entering = known.select(*keys, AT, pl.col(AT).alias(SEEN)).hstack(measured[known.get_column(ROW)])
    leaving = known.select(*keys, pl.col(AT) + span).unique()
    timeline = pl.concat([entering, leaving], how="diagonal").sort(*keys, AT)
    rolled = timeline.rolling(AT, period=f"{span}i", closed="right", group_by=keys).agg(
        pl.col(SEEN).max(),
        *(
            _aggregated(feature, pl.col(inputs[feature.column])).alias(f"out_{n}")
            for n, feature in enumerate(view.features)
        ),
    )
    changed = _last_of_each(rolled.sort(*keys, AT), [*keys, AT]).with_row_index(ROW)
    values = changed.select(pl.col(f"out_{n}").alias(feature.name) for n, feature in enumerate(view.features))
    return changed.select(*keys, AT, ROW), values, changed.get_column(SEEN)


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


def _aggregated(feature: Feature, value: pl.Expr) -> pl.Expr:
    match feature.aggregate:
        case Aggregate.MEAN:
            return value.mean()
        case Aggregate.SUM:
            return value.sum()
        case Aggregate.COUNT:
            return value.count().cast(pl.Int64)
        case Aggregate.MIN:
            return value.min()
        case Aggregate.MAX:
            return value.max()
        case None:
            raise AssertionError("a windowed view was checked to hold aggregates only")
