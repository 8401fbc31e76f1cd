"""Is a view sound, and do its tables fit it? Every fault is named before any work begins."""

from collections.abc import Iterable, Sequence
from itertools import chain

import polars as pl

from stackproof.errors import InvalidTable, did_you_mean
from stackproof.roles.features import Aggregate, FeatureView

KEY_KINDS = "string, integer or boolean"


def check_source(view: FeatureView, source: pl.DataFrame) -> None:
    """Raises `InvalidTable` when the source lacks a column of the view, or one has an unfit type."""
    columns = dict.fromkeys((*view.entity, view.known_at, *(feature.column for feature in view.features)))
    faults = _missing(source, columns)
    faults += _unfit_keys(source, view.entity)
    faults += _unfit_instants(source, view.known_at)
    for feature in view.features:
        if feature.column in source.columns and not _can_aggregate(source, feature.column, feature.aggregate):
            faults.append(
                f"column {feature.column!r} has the type {source.schema[feature.column]};"
                f" {feature.aggregate} needs numbers or booleans"
            )
    if faults:
        raise InvalidTable(f"The table {view.source!r} does not fit the feature view {view.name!r}", faults=faults)


def check_rows(rows: pl.DataFrame, views: Sequence[tuple[FeatureView, pl.DataFrame]], as_of: str) -> None:
    """Raises `InvalidTable` when the rows lack a column, a key's type differs, or a feature's name is taken."""
    keys = dict.fromkeys(chain.from_iterable(view.entity for view, _ in views))
    faults = _missing(rows, dict.fromkeys((*keys, as_of)))
    faults += _unfit_keys(rows, keys)
    faults += _unfit_instants(rows, as_of)
    for view, source in views:
        faults += _different_keys(rows, source, view)
    faults += _taken_names(rows, [view for view, _ in views])
    if faults:
        raise InvalidTable("The rows cannot be joined with the feature views", faults=list(dict.fromkeys(faults)))


def _missing(frame: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    return [
        f"column {column!r} is missing{did_you_mean(column, frame.columns)}"
        for column in columns
        if column not in frame.columns
    ]


def key_kind(dtype: pl.DataType) -> str | None:
    """`"string"`, `"integer"`, `"boolean"`; `"null"` for a column of nothing else; None for what can't be a key."""
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "string"
    if dtype.is_integer():
        return "integer"
    return {pl.Boolean(): "boolean", pl.Null(): "null"}.get(dtype)


def _unfit_keys(frame: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    return [
        f"key column {column!r} has the type {frame.schema[column]}; a key is {KEY_KINDS}"
        for column in columns
        if column in frame.columns and key_kind(frame.schema[column]) is None
    ]


def _unfit_instants(frame: pl.DataFrame, column: str) -> list[str]:
    if column not in frame.columns or isinstance(frame.schema[column], pl.Datetime | pl.Null):
        return []
    return [f"column {column!r} has the type {frame.schema[column]}; an instant is a UTC timestamp"]


def _different_keys(rows: pl.DataFrame, source: pl.DataFrame, view: FeatureView) -> list[str]:
    faults = []
    for column in view.entity:
        if column in rows.columns and column in source.columns:
            here, there = key_kind(rows.schema[column]), key_kind(source.schema[column])
            if None not in (here, there) and here != there and "null" not in (here, there):
                faults.append(f"key column {column!r} is {here} in the rows and {there} in {view.source!r}")
    return faults


def _taken_names(rows: pl.DataFrame, views: Iterable[FeatureView]) -> list[str]:
    faults = []
    owner = dict.fromkeys(rows.columns, "a column of the rows")
    for view in views:
        for feature in view.features:
            if feature.name in owner:
                faults.append(
                    f"the name of the feature {feature.name!r} of {view.name!r} is taken by {owner[feature.name]}"
                )
            owner.setdefault(feature.name, f"the view {view.name!r}")
    return faults


def _can_aggregate(source: pl.DataFrame, column: str, aggregate: Aggregate | None) -> bool:
    dtype = source.schema[column]
    if aggregate is None or aggregate is Aggregate.COUNT:
        return True
    return dtype.is_numeric() or isinstance(dtype, pl.Boolean | pl.Null)
