"""Great Expectations itself, and the names that it knows for types."""

from collections.abc import Mapping
from typing import Any

from stackproof.adapters.tool_modules import imported
from stackproof.roles.validation import ColumnType

NO_TYPE = "none of the contract's types"
INTEGERS = ["int64", "uint64", "Int64Dtype", "UInt64Dtype"]
TYPE_NAMES: Mapping[str, list[str]] = {
    ColumnType.INTEGER: INTEGERS,
    ColumnType.NUMBER: ["float64", *INTEGERS],
    ColumnType.STRING: ["StringDtype"],
    ColumnType.BOOLEAN: ["bool", "BooleanDtype"],
    ColumnType.INSTANT: [f"datetime64[{unit}]" for unit in ("s", "ms", "us", "ns")],
    NO_TYPE: [],
}
"""Of the pandas types which `Columns.frame` makes."""


def tool_module(module: str) -> Any:
    """A module of the tool's environment. Raises `NotFound`."""
    return imported(module, "Great Expectations", "great-expectations pyarrow")
