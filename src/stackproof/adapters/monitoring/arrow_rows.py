"""Tables as the tests of a foreign tool take them: in Arrow, numbers as float64 and categories as text."""

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stackproof.errors import InvalidTable
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.table import Table


def watched(table: Table, columns: Mapping[str, ColumnKind], what: str) -> Any:
    """The table in Arrow. Raises `InvalidTable` for a missing column, and for a reference without rows."""
    pyarrow = import_module("pyarrow")
    try:
        arrow = pyarrow.table(table)
    except (TypeError, ValueError, pyarrow.ArrowException) as unreadable:
        raise InvalidTable("This is no table", got=f"{type(table).__name__}: {unreadable}") from unreadable
    missing = [name for name in columns if name not in arrow.column_names]
    if missing:
        raise InvalidTable(
            "The table lacks columns that are watched",
            faults=[f"{name!r} is missing" for name in missing],
            got=", ".join(arrow.column_names) or "no columns",
            allowed=", ".join(columns),
        )
    if what == "reference" and arrow.num_rows == 0:
        raise InvalidTable("The reference has no rows", got="0 rows", allowed="at least one row")
    return arrow


def normalised(arrow: Any, columns: Mapping[str, ColumnKind]) -> Any:
    """The watched columns alone, numbers as float64 and categories as text; what is none is null.

    In a numeric column, what is no number is missing: null, NaN, a text that is no number. In a categorical one a
    whole number counts as the integer, so that 1.0 and 1 are the same value.
    """
    pyarrow = import_module("pyarrow")
    made = {}
    for name, kind in columns.items():
        values, types = arrow.column(name), pyarrow.types
        if kind is ColumnKind.NUMERIC:
            plain = types.is_integer(values.type) or types.is_floating(values.type)
            if plain:
                made[name] = pyarrow.chunked_array([values.cast(pyarrow.float64(), safe=False).combine_chunks()])
            else:
                made[name] = pyarrow.array(map(_number, values.to_pylist()), pyarrow.float64())
        elif types.is_string(values.type) or types.is_large_string(values.type):
            made[name] = values.cast(pyarrow.large_string())
        else:
            made[name] = pyarrow.array(map(_text, values.to_pylist()), pyarrow.large_string())
    return pyarrow.table(made)


def bytes_of(table: Any) -> bytes:
    """An Arrow table as an Arrow stream."""
    arrow = import_module("pyarrow")
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(memoryview(sink.getvalue()))


def table_of(data: bytes) -> Any:
    """The Arrow table of an Arrow stream."""
    return import_module("pyarrow").ipc.open_stream(data).read_all()


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)
