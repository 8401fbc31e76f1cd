"""The user's own data."""

from pathlib import Path

import polars as pl

from stackproof.errors import NotFound, RefusedInput


def read_data(path: Path) -> pl.DataFrame:
    """A Parquet or CSV file. Raises `NotFound`, or `RefusedInput` for anything else, and for a table without rows."""
    if not path.is_file():
        raise NotFound("There is no data file", got=str(path))
    readers = {".parquet": pl.read_parquet, ".csv": lambda file: pl.read_csv(file, try_parse_dates=True)}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RefusedInput("The data are in no form that is read", got=path.name, allowed="a .parquet or a .csv file")
    try:
        data: pl.DataFrame = reader(path)
    except (pl.exceptions.PolarsError, OSError) as broken:
        raise RefusedInput(f"{path.name} can't be read", got=str(broken).strip().splitlines()[0]) from broken
    if data.height < 2:
        raise RefusedInput(f"{path.name} has too few rows", got=f"{data.height} rows", allowed="at least 2")
    return data
