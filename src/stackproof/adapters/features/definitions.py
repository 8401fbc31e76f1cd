"""Do tables fit the views that read them? Every fault is named before any work begins. It reads no table itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from stackproof.errors import InvalidTable, did_you_mean
from stackproof.roles.features import Aggregate, FeatureView

KEY_KINDS = "string, integer or boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """What a column is to a view. `type`: as its table's library calls it.

    `key`: `"string"`, `"integer"`, `"boolean"`; `"null"` for a column of nothing else; None for what can't be a key.
    `is_instant`, `is_number` (or boolean): also true of a column of nothing but null.
    """

    type: str
    key: str | None
    is_instant: bool
    is_number: bool


Columns: TypeAlias = Mapping[str, Column]


def check_source(view: FeatureView, source: Columns) -> None:
    """Raises `InvalidTable` when the source lacks a column of the view, or one has an unfit type."""
    columns = dict.fromkeys((*view.entity, view.known_at, *(feature.column for feature in view.features)))
    faults = _missing(source, columns)
    faults += _unfit_keys(source, view.entity)
    faults += _unfit_instants(source, view.known_at)
    for feature in view.features:
        column = source.get(feature.column)
        counts = feature.aggregate is None or feature.aggregate is Aggregate.COUNT
        if column is not None and not counts and not column.is_number:
            faults.append(
                f"column {feature.column!r} has the type {column.type}; {feature.aggregate} needs numbers or booleans"
            )
    if faults:
        raise InvalidTable(f"The table {view.source!r} does not fit the feature view {view.name!r}", faults=faults)


def check_rows(rows: Columns, views: Sequence[tuple[FeatureView, Columns]], as_of: str) -> None:
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


def _missing(table: Columns, columns: Iterable[str]) -> list[str]:
    return [f"column {column!r} is missing{did_you_mean(column, table)}" for column in columns if column not in table]


def _unfit_keys(table: Columns, columns: Iterable[str]) -> list[str]:
    return [
        f"key column {column!r} has the type {table[column].type}; a key is {KEY_KINDS}"
        for column in columns
        if column in table and table[column].key is None
    ]


def _unfit_instants(table: Columns, column: str) -> list[str]:
    if column not in table or table[column].is_instant:
        return []
    return [f"column {column!r} has the type {table[column].type}; an instant is a UTC timestamp"]


def _different_keys(rows: Columns, source: Columns, view: FeatureView) -> list[str]:
    faults = []
    for column in view.entity:
        if column in rows and column in source:
            here, there = rows[column].key, source[column].key
            if None not in (here, there) and here != there and "null" not in (here, there):
                faults.append(f"key column {column!r} is {here} in the rows and {there} in {view.source!r}")
    return faults


def _taken_names(rows: Columns, views: Iterable[FeatureView]) -> list[str]:
    faults = []
    owner = dict.fromkeys(rows, "a column of the rows")
    for view in views:
        for feature in view.features:
            if feature.name in owner:
                faults.append(
                    f"the name of the feature {feature.name!r} of {view.name!r} is taken by {owner[feature.name]}"
                )
            owner.setdefault(feature.name, f"the view {view.name!r}")
    return faults
