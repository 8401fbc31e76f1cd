"""A table as tools on pandas check it: with as few types as the contract has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackproof.adapters.arrow_tables import arrow_table
from stackproof.adapters.tool_modules import imported
from stackproof.roles.table import Table
from stackproof.roles.validation import ColumnType

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)


@dataclass(frozen=True, eq=False)
class Columns:
    """A table as checks see it. `kinds`: by column the contract's type, or what it is instead."""

    arrow: Any
    kinds: Mapping[str, str]
    _made: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(name: str, table: Table) -> "Columns":
        """Raises `InvalidTable` for what is no table, or has two columns of one name."""
        arrow, pyarrow = arrow_table(name, table), _module("pyarrow")
        return Columns(arrow, {column.name: _kind(pyarrow.types, column.type) for column in arrow.schema})

    @property
    def rows(self) -> int:
        return int(self.arrow.num_rows)

    def frame(self, columns: Iterable[str]) -> Any:
        """Those of the columns that are there, in pandas."""
        pandas = _module("pandas")
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
        """False for a column that is not there."""
        return column in self.kinds and not self.is_empty(column) and self.kinds[column] not in kinds

    def is_nested(self, column: str) -> bool:
        nested = _module("pyarrow").types.is_nested
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
        values, compute = self.arrow.column(column), _module("pyarrow.compute")
        if self.kinds[column] != ColumnType.NUMBER:
            return int(values.null_count)
        return int(compute.sum(compute.is_null(values, nan_is_null=True)).as_py() or 0)

    def _series(self, column: str) -> Any:
        """Numbers as int64, uint64 or float64, which compare fastest; missing ones keep integers whole."""
        pandas, pyarrow = _module("pandas"), _module("pyarrow")
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


def _module(name: str) -> Any:
    return imported(name, name, "pandas pyarrow")


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
