"""Columns of any table as what the tests work on: numbers with NaN for missing, texts with None for missing."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stackproof.errors import InvalidTable
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.table import Table
from stackproof.store.tables import to_frame

Numbers: TypeAlias = NDArray[np.float64]
Texts: TypeAlias = list[str | None]

PLAIN_NUMBERS = frozenset({pl.Float64, pl.Float32, pl.Int64, pl.Int32})
"""Those that NumPy takes as they are, null as NaN; a cast by Polars costs more than a look at a column."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in order: `numbers` by (numeric column, row), `texts` one list per categorical column."""

    numbers: Numbers
    texts: tuple[Texts, ...]
    count: int

    def part(self, start: int, stop: int) -> "Rows":
        """The rows start <= row < stop."""
        texts = tuple(column[start:stop] for column in self.texts)
        return Rows(self.numbers[:, start:stop], texts, stop - start)


def names_of(columns: Mapping[str, ColumnKind], kind: ColumnKind) -> tuple[str, ...]:
    """The columns of one kind, in the order given."""
    return tuple(name for name, column_kind in columns.items() if column_kind == kind)


def read_rows(table: Table, columns: Mapping[str, ColumnKind]) -> Rows:
    """Raises `InvalidTable` for a missing column.

    In a numeric column, what is no number is missing: null, NaN, a text that is no number. In a
    categorical one a whole number counts as the integer, so that 1.0 and 1 are the same value.
    """
    frame = to_frame(table)
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InvalidTable(
            "The table lacks columns that are watched",
            faults=[f"{name!r} is missing" for name in missing],
            got=", ".join(frame.columns) or "no columns",
            allowed=", ".join(columns),
        )
    numeric = [numbers_of(frame[name]) for name in names_of(columns, ColumnKind.NUMERIC)]
    numbers = np.vstack(numeric) if numeric else np.empty((0, frame.height))
    texts = tuple(texts_of(frame[name]) for name in names_of(columns, ColumnKind.CATEGORICAL))
    return Rows(numbers, texts, frame.height)


def numbers_of(series: pl.Series) -> Numbers:
    """The values as floats; NaN where there is no number."""
    if series.dtype in PLAIN_NUMBERS:
        return series.to_numpy().astype(np.float64)
    plain = series.cast(pl.String) if series.dtype in (pl.Categorical, pl.Enum) else series
    try:
        cast = plain.cast(pl.Float64, strict=False)
    except pl.exceptions.PolarsError:
        return np.array([_number(value) for value in plain.to_list()], dtype=np.float64)
    return cast.fill_null(math.nan).to_numpy()


def texts_of(series: pl.Series) -> Texts:
    """The values as texts; None where there is none."""
    if series.dtype == pl.String:
        return series.to_list()
    if series.dtype.is_float() or series.dtype == pl.Object:
        return [_text(value) for value in series.to_list()]
    try:
        return series.cast(pl.String, strict=False).to_list()
    except pl.exceptions.PolarsError:
        return [_text(value) for value in series.to_list()]


def from_lists(numbers: Iterable[Iterable[float | None]], texts: Iterable[Texts], count: int) -> Rows:
    """Rows from plain lists, as `to_lists` made them."""
    columns = [np.array([math.nan if x is None else x for x in column], np.float64) for column in numbers]
    return Rows(np.vstack(columns) if columns else np.empty((0, count)), tuple(texts), count)


def to_lists(rows: Rows) -> tuple[list[list[float | None]], list[Texts]]:
    """Plain lists, exact, with None for missing."""
    numbers = [[None if x != x else x for x in column.tolist()] for column in rows.numbers]
    return numbers, list(rows.texts)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)
