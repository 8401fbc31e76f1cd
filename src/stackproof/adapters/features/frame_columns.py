"""The columns of a Polars frame, as `definitions` asks of them."""

import polars as pl

from stackproof.adapters.features.definitions import Column


def columns_of(frame: pl.DataFrame) -> dict[str, Column]:
    return {name: _column(dtype) for name, dtype in frame.schema.items()}


def key_kind(dtype: pl.DataType) -> str | None:
    """See `Column.key`."""
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "string"
    if dtype.is_integer():
        return "integer"
    return {pl.Boolean(): "boolean", pl.Null(): "null"}.get(dtype)


def _column(dtype: pl.DataType) -> Column:
    return Column(
        str(dtype),
        key_kind(dtype),
        is_instant=isinstance(dtype, pl.Datetime | pl.Null),
        is_number=dtype.is_numeric() or isinstance(dtype, pl.Boolean | pl.Null),
    )
