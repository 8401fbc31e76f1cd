"""Tables as Feast is given them: what their columns are, and keys, instants and values in the types that it keeps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackproof.adapters.arrow_tables import arrow_table
from stackproof.adapters.features.definitions import Column
from stackproof.adapters.features.feast_library import tool_module
from stackproof.errors import InvalidTable
from stackproof.roles.table import Table

MICROSECONDS = "us"


def read_table(name: str, table: Table) -> Any:
    """See `arrow_table`."""
    return _without_text_views(arrow_table(name, table))


def _without_text_views(table: Any) -> Any:
    """Arrow can't yet pick rows of a column of views."""
    pyarrow = tool_module("pyarrow")
    for n, field in enumerate(table.schema):
        if pyarrow.types.is_string_view(field.type) or pyarrow.types.is_binary_view(field.type):
            kept = pyarrow.large_string() if pyarrow.types.is_string_view(field.type) else pyarrow.large_binary()
            table = table.set_column(n, field.with_type(kept), table.column(n).cast(kept))
    return table


def columns_of(table: Any) -> dict[str, Column]:
    """As `definitions` asks of them."""
    return {field.name: _column(field.type) for field in table.schema}


def _column(arrow_type: Any) -> Column:
    types = tool_module("pyarrow").types
    is_null = types.is_null(arrow_type)
    is_number = types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type)
    return Column(
        str(arrow_type),
        key_kind(arrow_type),
        is_instant=bool(is_null or types.is_timestamp(arrow_type)),
        is_number=bool(is_null or is_number or types.is_boolean(arrow_type)),
    )


def key_kind(arrow_type: Any) -> str | None:
    """See `Column.key`."""
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
