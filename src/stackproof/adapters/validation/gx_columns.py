"""A table as Great Expectations checks it: in pandas, with as few types as the contract has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from stackproof.errors import InvalidTable, NotFound
from stackproof.roles.table import Table
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
"""The names that Great Expectations knows for the pandas types which `Columns.frame` makes."""
NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


def tool_module(module: str) -> Any:
    """A module of the tool's environment. Raises `NotFound`."""
    try:
        return import_module(module)
    except ImportError as missing:
        raise NotFound(
            f"Great Expectations can't be imported: {missing}", next_command="uv pip install great-expectations pyarrow"
        ) from missing


@dataclass(frozen=True, eq=False)
class Columns:
    """A table as checks see it. `kinds`: by column the contract's type, or what it is instead."""

    arrow: Any
    kinds: Mapping[str, str]
    _made: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(name: str, table: Table) -> "Columns":
        """Raises `InvalidTable` for what is no table."""
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
        return Columns(arrow, {column.name: _kind(pyarrow.types, column.type) for column in arrow.schema})

    @property
    def rows(self) -> int:
        return int(self.arrow.num_rows)

    def frame(self, columns: Iterable[str]) -> Any:
        """Those of the columns that are there, in pandas."""
        pandas = tool_module("pandas")
        made = {column: self.series(column) for column in columns if column in self.kinds}
        return pandas.DataFrame(made, index=pandas.RangeIndex(self.rows))

    def series(self, column: str) -> Any:
        if column not in self._made:
            self._made[column] = self._series(column)
        return self._made[column]

    def is_empty(self, column: str) -> bool:
        """A column made of nothing but null has a type of its own; it keeps every expectation of values."""
        return self.kinds.get(column) == "null"

    def is_other_than(self, column: str, kinds: Sequence[str]) -> bool:
        """False for a column that is not there: Great Expectations tells that itself."""
        return column in self.kinds and not self.is_empty(column) and self.kinds[column] not in kinds

    def is_nested(self, column: str) -> bool:
        nested = tool_module("pyarrow").types.is_nested
        return column in self.kinds and bool(nested(self.arrow.schema.field(column).type))

    def has_zone(self, column: str) -> bool | None:
        """None for what is no instant, or is not there."""
        if self.kinds.get(column) != ColumnType.INSTANT:
            return None
        return self.arrow.schema.field(column).type.tz is not None

    def nulls(self, column: str) -> int:
        """How many values are missing: null or NaN."""
        if column not in self.kinds:
            return 0
        values, compute = self.arrow.column(column), tool_module("pyarrow.compute")
        if self.kinds[column] != ColumnType.NUMBER:
            return int(values.null_count)
        return int(compute.sum(compute.is_null(values, nan_is_null=True)).as_py() or 0)

    def _series(self, column: str) -> Any:
        """Numbers as int64, uint64 or float64, which it compares fastest; missing ones keep integers whole."""
        pandas, pyarrow = tool_module("pandas"), tool_module("pyarrow")
        values, kind = self.arrow.column(column), self.kinds[column]
        types = {pyarrow.int64(): pandas.Int64Dtype(), pyarrow.uint64(): pandas.UInt64Dtype()}
        types |= {pyarrow.bool_(): pandas.BooleanDtype(), pyarrow.large_string(): pandas.StringDtype()}
        if kind == ColumnType.INTEGER:
            plain = values.cast(pyarrow.uint64() if values.type == pyarrow.uint64() else pyarrow.int64())
            return plain.to_pandas(types_mapper=types.get if values.null_count else None)
        if kind == ColumnType.NUMBER:
            return values.cast(pyarrow.float64()).to_pandas()
        if kind == ColumnType.STRING:
            return values.cast(pyarrow.large_string()).to_pandas(types_mapper=types.get)
        if kind == ColumnType.INSTANT:
            return values.cast(pyarrow.timestamp(values.type.unit)).to_pandas()
        if kind in (ColumnType.BOOLEAN, "null"):
            return values.to_pandas(types_mapper=types.get)
        texts = [None if value is None else str(value) for value in values.to_pylist()]
        return pandas.Series(texts, dtype="category")


def _kind(types: Any, arrow_type: Any) -> str:
    known = (
        (types.is_integer, ColumnType.INTEGER),
        (types.is_floating, ColumnType.NUMBER),
        (types.is_decimal, ColumnType.NUMBER),
        (types.is_boolean, ColumnType.BOOLEAN),
        (types.is_timestamp, ColumnType.INSTANT),
        (types.is_null, "null"),
        (types.is_string, ColumnType.STRING),
        (types.is_large_string, ColumnType.STRING),
        (types.is_string_view, ColumnType.STRING),
    )
    if types.is_dictionary(arrow_type):
        return _kind(types, arrow_type.value_type)
    return next((str(kind) for is_kind, kind in known if is_kind(arrow_type)), str(arrow_type))
