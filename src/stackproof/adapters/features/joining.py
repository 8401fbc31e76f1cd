"""The point-in-time join: for each row, what was known of its entity at its instant."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import polars as pl

from stackproof.adapters.features.changes import Changes, instants, key_names, micros
from stackproof.adapters.features.frame_columns import key_kind
from stackproof.adapters.features.windows import AT, ROW, ZERO_WHEN_EMPTY
from stackproof.roles.features import FeatureView

POSITION = "position"


def join(rows: pl.DataFrame, views: Sequence[tuple[FeatureView, Changes]], as_of: str) -> pl.DataFrame:
    """`rows` with a column for each feature. Rows and views were checked to fit."""
    wanted = _wanted(rows, [view for view, _ in views], as_of)
    features = (_features(wanted, rows.height, view, changes) for view, changes in views)
    return rows.hstack(list(chain.from_iterable(frame.get_columns() for frame in features)))


def _wanted(rows: pl.DataFrame, views: Sequence[FeatureView], as_of: str) -> pl.DataFrame:
    """The keys that any view needs, `at` and `position`, in the order of `at`; nothing without an instant."""
    columns = dict.fromkeys(chain.from_iterable(view.entity for view in views))
    at = instants(as_of, rows.schema[as_of]).alias(AT)
    keys = [pl.col(column).alias(_asked_name(column)) for column in columns]
    return rows.select(at, *keys).with_row_index(POSITION).filter(pl.col(AT).is_not_null()).sort(AT)


def _asked_name(column: str) -> str:
    return f"asked_{column}"


def _features(wanted: pl.DataFrame, height: int, view: FeatureView, changes: Changes) -> pl.DataFrame:
    asked, index = _with_equal_types(_asked(wanted, view), changes.index, key_names(view))
    row = _matching_rows(asked, index, view, changes.seen)
    found = _spread(asked.get_column(POSITION), row, height)
    values = changes.values.select(pl.all().gather(found))
    zeros = [feature.name for feature in view.features if feature.aggregate in ZERO_WHEN_EMPTY]
    if not zeros:
        return values
    has_key = _spread(asked.get_column(POSITION), asked.get_column(POSITION), height).is_not_null()
    return values.with_columns(pl.when(has_key).then(pl.col(zeros).fill_null(0)))


def _asked(wanted: pl.DataFrame, view: FeatureView) -> pl.DataFrame:
    """Position, instant and keys (`key_0`, ...) of the rows that have a whole key."""
    names = zip(key_names(view), view.entity, strict=True)
    return wanted.select(
        POSITION, AT, *(pl.col(_asked_name(column)).alias(name) for name, column in names)
    ).drop_nulls()


def _with_equal_types(
    asked: pl.DataFrame, index: pl.DataFrame, keys: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both with one type for each key: text for text, and integers of any width can meet."""
    for key in keys:
        here, there = asked.schema[key], index.schema[key]
        if here != there:
            common = pl.Int64() if _fit_in_64_bits(here, there) else pl.String()
            asked = asked.with_columns(pl.col(key).cast(common))
            index = index.with_columns(pl.col(key).cast(common))
    return asked, index


def _fit_in_64_bits(*dtypes: pl.DataType) -> bool:
    wide = (pl.UInt64, pl.Int128, pl.UInt128)
    return all(key_kind(dtype) == "integer" and not isinstance(dtype, wide) for dtype in dtypes)


def _matching_rows(asked: pl.DataFrame, index: pl.DataFrame, view: FeatureView, seen: pl.Series) -> pl.Series:
    """For each row asked for the number of the row to use; null for none, and for one that is too old."""
    matched = asked.join_asof(index, on=AT, by=key_names(view), strategy="backward", check_sortedness=False)
    row = matched.get_column(ROW)
    if view.max_age is None:
        return row
    age = asked.get_column(AT) - seen.gather(row)
    return pl.select(pl.when(age <= micros(view.max_age)).then(row)).to_series()


def _spread(positions: pl.Series, numbers: pl.Series, height: int) -> pl.Series:
    """The numbers at their positions in a column of `height`; null elsewhere."""
    column = np.full(height, -1, dtype=np.int64)
    column[positions.to_numpy()] = numbers.cast(pl.Int64).fill_null(-1).to_numpy()
    spread = pl.Series(ROW, column)
    return pl.select(pl.when(spread >= 0).then(spread)).to_series()
