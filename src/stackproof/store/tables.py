"""Tables as columnar files: Parquet, written so that equal tables give equal bytes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.errors import Corrupted

if TYPE_CHECKING:
    import polars as pl


def to_frame(table: Any) -> "pl.DataFrame":
    """Any table that exports an Arrow stream, as a Polars frame; a frame is returned as it is."""
    import polars as pl

    return table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)


def write_table(table: Any, path: Path) -> None:
    """Write to `path`, with statistics and zstd. The folder must exist."""
    to_frame(table).write_parquet(path, compression="zstd", compression_level=1, statistics=True)


def read_table(path: Path) -> "pl.DataFrame":
    """Read it back whole. Raises `Corrupted` when it is no such file."""
    import polars as pl

    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as broken:
        raise Corrupted("A table's file cannot be read", got=f"{path.name}: {broken}") from broken
