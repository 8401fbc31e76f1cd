"""When the features of a view change, and to what.

The value of a feature is constant between two instants at which something enters or leaves. So one
table of changes, made once, answers for any instant: the join looks into it, and the very same table
is what is readable online. Instants are whole microseconds since 1970 in UTC.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from stackproof.adapters.features.windows import AT, ROW, SEEN, last_of_each, rolled, value_name
from stackproof.roles.features import FeatureView

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Changes:
    """`index`: the keys (`key_0`, ...), `at` (from when on), `row` (where in `values`), each entity by `at`.

    Of rows that agree in keys and `at` the last counts.

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
    if view.window is None:
        index, values, seen = _plain(view, source, known)
    else:
        keys = key_names(view)
        changed = rolled(view.features, micros(view.window), keys, source, known).with_row_index(ROW)
        index, seen = changed.select(*keys, AT, ROW), changed.get_column(SEEN)
        values = changed.select(pl.col(value_name(n)).alias(f.name) for n, f in enumerate(view.features))
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
    index = known.sort(AT, maintain_order=True)
    values = source.select(pl.col(feature.column).alias(feature.name) for feature in view.features)
    seen = source.select(instants(view.known_at, source.schema[view.known_at]).alias(SEEN)).to_series()
    return index, values, seen


def by_entity(view: FeatureView, changes: Changes) -> pl.DataFrame:
    """The index sorted by keys and `at`, no two rows alike in these."""
    if view.window is not None:
        return changes.index
    order = [*key_names(view), AT]
    return last_of_each(changes.index.sort(order, maintain_order=True), order)
