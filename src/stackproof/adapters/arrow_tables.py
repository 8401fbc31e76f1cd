"""Tables in pyarrow, for adapters in an environment of their own: pyarrow is imported with the first table."""

from typing import Any

from stackproof.adapters.tool_modules import imported
from stackproof.errors import InvalidTable
from stackproof.roles.table import Table


def arrow_table(name: str, table: Table) -> Any:
    """The table as a `pyarrow.Table`. Raises `InvalidTable` when it is none, or has two columns of one name, and
    `NotFound` where pyarrow is not installed.
    """
    pyarrow = imported("pyarrow", "pyarrow", "pyarrow")
    try:
        arrow = pyarrow.table(table)
    except (TypeError, ValueError, pyarrow.ArrowException) as unreadable:
        raise no_table(name, table, unreadable) from unreadable
    if len(set(arrow.column_names)) < len(arrow.column_names):
        raise InvalidTable(f"{name!r} has two columns of one name", got=", ".join(arrow.column_names))
    return arrow


def no_table(name: str, given: object, why: object) -> InvalidTable:
    return InvalidTable(
        f"{name!r} is no table",
        got=f"{type(given).__name__}: {why}",
        allowed="anything that exports an Arrow stream: Polars, pyarrow, pandas, DuckDB",
    )
