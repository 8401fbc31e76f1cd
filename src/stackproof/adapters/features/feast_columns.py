"""Tables as Feast is given them: what they must hold, and keys, instants and values in the types that it keeps."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackproof.adapters.features.feast_library import tool_module
from stackproof.errors import InvalidTable, did_you_mean
from stackproof.roles.features import Aggregate, FeatureView

KEY_KINDS = "string, integer or boolean"
MICROSECONDS = "us"


def read_table(name: str, table: object) -> Any:
    """The table as a `pyarrow.Table`. Raises `InvalidTable` when it is none, or has two columns of one name."""
    pyarrow = tool_module("pyarrow")
    try:
        arrow = pyarrow.table(table)
    except (TypeError, ValueError, pyarrow.ArrowException) as unreadable:
        raise InvalidTable(
            f"{name!r} is no table",
            got=f"{type(table).__name__}: {unreadable}",
            allowed="anything that exports an Arrow stream: Polars, pyarrow, pandas, DuckDB",
        ) from unreadable
    if len(set(arrow.column_names)) < len(arrow.column_names):
        raise InvalidTable(f"{name!r} has two columns of one name", got=", ".join(arrow.column_names))
    return _without_text_views(arrow)


def _without_text_views(table: Any) -> Any:
    """Arrow can't yet pick rows of a column of views."""
    pyarrow = tool_module("pyarrow")
    for n, field in enumerate(table.schema):
        if pyarrow.types.is_string_view(field.type) or pyarrow.types.is_binary_view(field.type):
            kept = pyarrow.large_string() if pyarrow.types.is_string_view(field.type) else pyarrow.large_binary()
            table = table.set_column(n, field.with_type(kept), table.column(n).cast(kept))
    return table


def check_source(view: FeatureView, source: Any) -> None:
    """Raises `InvalidTable` when the source lacks a column of the view, or one has an unfit type."""
    columns = dict.fromkeys((*view.entity, view.known_at, *(feature.column for feature in view.features)))
    faults = _missing(source, columns)
    faults += _unfit_keys(source, view.entity)
    faults += _unfit_instants(source, view.known_at)
    for feature in view.features:
        if feature.column in source.column_names and not _can_aggregate(source, feature.column, feature.aggregate):
            kind = source.schema.field(feature.column).type
            faults.append(
                f"column {feature.column!r} has the type {kind}; {feature.aggregate} needs numbers or booleans"
            )
    if faults:
        raise InvalidTable(f"The table {view.source!r} does not fit the feature view {view.name!r}", faults=faults)


def check_rows(rows: Any, views: Sequence[tuple[FeatureView, Any]], as_of: str) -> None:
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


def key_kind(arrow_type: Any) -> str | None:
    """`"string"`, `"integer"`, `"boolean"`; `"null"` for a column of nothing else; None for what can't be a key."""
    types = tool_module("pyarrow").types
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if types.is_integer(arrow_type):
        return "integer"
    if types.is_boolean(arrow_type):
        return "boolean"
    return "null" if types.is_null(arrow_type) else "string" if is_text(arrow_type) else None


def is_text(arrow_type: Any) -> bool:
    types = tool_module("pyarrow").types
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type))


def as_keys(column: Any) -> Any:
    """A key column as one array of strings or of whole numbers: Feast keeps no truth values as keys.

    Raises `InvalidTable` for a number that 64 bits with a sign don't hold.
    """
    pyarrow = tool_module("pyarrow")
    if key_kind(column.type) in ("integer", "boolean"):
        try:
            return whole(column.cast(pyarrow.int64()))
        except pyarrow.ArrowInvalid as too_large:
            raise InvalidTable("A key is too large for Feast", got=too_large, allowed="up to 64 bits") from too_large
    return whole(column.cast(pyarrow.large_string()))


def as_instants(column: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since 1970, and which there are; a timestamp without a zone is read as UTC."""
    pyarrow = tool_module("pyarrow")
    if not pyarrow.types.is_null(column.type):
        column = column.cast(pyarrow.timestamp(MICROSECONDS, column.type.tz), safe=False)
    array = whole(column.cast(pyarrow.int64()))
    return array.fill_null(0).to_numpy(zero_copy_only=False), array.is_valid().to_numpy(zero_copy_only=False)


def whole(column: Any) -> Any:
    """A column in one piece."""
    chunked = isinstance(column, tool_module("pyarrow").ChunkedArray)
    return column.combine_chunks() if chunked else column


def timestamps(instants: NDArray[np.int64]) -> Any:
    """Microseconds since 1970 as Arrow's timestamps."""
    pyarrow = tool_module("pyarrow")
    return pyarrow.array(instants).cast(pyarrow.timestamp(MICROSECONDS, "UTC"))


def picked(column: Any, positions: NDArray[np.int64]) -> Any:
    """The column's values at the positions; null at a negative one."""
    pyarrow = tool_module("pyarrow")
    return whole(column.take(pyarrow.array(positions, mask=positions < 0)))


def _missing(table: Any, columns: Iterable[str]) -> list[str]:
    names = table.column_names
    return [f"column {column!r} is missing{did_you_mean(column, names)}" for column in columns if column not in names]


def _unfit_keys(table: Any, columns: Iterable[str]) -> list[str]:
    return [
        f"key column {column!r} has the type {table.schema.field(column).type}; a key is {KEY_KINDS}"
        for column in columns
        if column in table.column_names and key_kind(table.schema.field(column).type) is None
    ]


def _unfit_instants(table: Any, column: str) -> list[str]:
    types = tool_module("pyarrow").types
    if column not in table.column_names:
        return []
    kind = table.schema.field(column).type
    if types.is_timestamp(kind) or types.is_null(kind):
        return []
    return [f"column {column!r} has the type {kind}; an instant is a UTC timestamp"]


def _different_keys(rows: Any, source: Any, view: FeatureView) -> list[str]:
    faults = []
    for column in view.entity:
        if column in rows.column_names and column in source.column_names:
            here, there = (key_kind(table.schema.field(column).type) for table in (rows, source))
            if None not in (here, there) and here != there and "null" not in (here, there):
                faults.append(f"key column {column!r} is {here} in the rows and {there} in {view.source!r}")
    return faults


def _taken_names(rows: Any, views: Iterable[FeatureView]) -> list[str]:
    faults = []
    owner = dict.fromkeys(rows.column_names, "a column of the rows")
    for view in views:
        for feature in view.features:
            if feature.name in owner:
                faults.append(
                    f"the name of the feature {feature.name!r} of {view.name!r} is taken by {owner[feature.name]}"
                )
            owner.setdefault(feature.name, f"the view {view.name!r}")
    return faults


def _can_aggregate(source: Any, column: str, aggregate: Aggregate | None) -> bool:
    types = tool_module("pyarrow").types
    kind = source.schema.field(column).type
    if aggregate is None or aggregate is Aggregate.COUNT:
        return True
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return bool(numeric or types.is_boolean(kind) or types.is_null(kind))
