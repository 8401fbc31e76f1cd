"""A table as the matrix that models are fitted on, encoded in the way in which a server encodes requests."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stackproof.errors import InvalidTable, did_you_mean
from stackproof.roles.automl import Problem
from stackproof.roles.serving import TensorSpec
from stackproof.roles.table import Table

MOST_CATEGORIES = 1000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """`matrix`: rows by features, NaN where missing; strings as codes, the positions in their feature's
    `categories`; every value one that a 32-bit float holds. `target`: 0 and 1, or the numbers.
    `features`: the columns of the matrix in order. `left_out`: one reason for each column not used.
    """

    matrix: Floats
    target: Floats
    features: tuple[TensorSpec, ...]
    left_out: tuple[str, ...]

    @property
    def left_out_note(self) -> str:
        """What every candidate says of them; "" for none."""
        return f"columns left out: {', '.join(self.left_out)}" if self.left_out else ""


def read_examples(table: Table, target: str, problem: Problem) -> Examples:
    """Raises `InvalidTable` when the target is missing, holds nulls, or is not one that the problem can have,
    and when no feature is left.
    """
    frame = _frame(table)
    if target not in frame.columns:
        raise InvalidTable(
            f"The table has no column {target!r} to predict{did_you_mean(target, frame.columns)}",
            allowed=", ".join(frame.columns) or "none: the table has no columns",
        )
    values = _target(frame[target], problem)
    used: list[tuple[TensorSpec, Floats]] = []
    left_out: list[str] = []
    for column in frame.drop(target):
        found = _feature(column)
        if isinstance(found, str):
            left_out.append(f"{column.name} ({found})")
        else:
            used.append(found)
    if not used:
        raise InvalidTable(
            "The table has no column to predict from",
            got=", ".join(left_out) or f"only the column {target!r}",
            allowed="numbers, booleans and strings with values",
        )
    matrix = np.column_stack([numbers for _, numbers in used])
    return Examples(matrix, values, tuple(spec for spec, _ in used), tuple(left_out))


def _frame(table: Table) -> pl.DataFrame:
    try:
        return pl.DataFrame(table)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as unread:
        raise InvalidTable("The table cannot be read as an Arrow stream", got=unread) from unread


def _target(column: pl.Series, problem: Problem) -> Floats:
    fitting = column.dtype == pl.Boolean if problem is Problem.BINARY else column.dtype.is_numeric()
    if not fitting:
        raise InvalidTable(
            f"The target {column.name!r} does not fit the problem {problem.value!r}",
            got=column.dtype,
            allowed="boolean" if problem is Problem.BINARY else "a number",
        )
    numbers = column.cast(pl.Float64).to_numpy()
    unusable = int((~_is_held(numbers)).sum())
    if unusable:
        raise InvalidTable(
            f"The target {column.name!r} must be known in every row",
            got=f"{unusable} rows without a value, or with one that is no finite 32-bit float",
        )
    _check_rows(column, numbers, problem)
    return numbers


def _check_rows(column: pl.Series, numbers: Floats, problem: Problem) -> None:
    if problem is Problem.BINARY:
        positive = int(numbers.sum())
        if min(positive, len(numbers) - positive) < 2:
            raise InvalidTable(
                f"The target {column.name!r} needs two rows of each class, one to fit and one to score",
                got=f"{positive} rows are true, {len(numbers) - positive} are false",
            )
    elif len(numbers) < 2:
        raise InvalidTable("A table needs two rows, one to fit and one to score", got=f"{len(numbers)} rows")


def _feature(column: pl.Series) -> tuple[TensorSpec, Floats] | str:
    """The feature and its numbers, or why the column is left out."""
    if column.null_count() == len(column):
        return "all values are null"
    if column.dtype == pl.Boolean:
        return TensorSpec(column.name, "BOOL"), _numbers(column)
    if column.dtype.is_integer():
        return TensorSpec(column.name, "INT64"), _numbers(column)
    if column.dtype.is_numeric():
        numbers = _numbers(column)
        return "no value is finite" if np.isnan(numbers).all() else (TensorSpec(column.name, "FP64"), numbers)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _text_feature(column.cast(pl.String))
    return f"its type is {column.dtype}"


def _text_feature(column: pl.Series) -> tuple[TensorSpec, Floats] | str:
    categories = column.drop_nulls().unique().sort().to_list()
    if len(categories) > MOST_CATEGORIES:
        return f"{len(categories):,} categories, more than {MOST_CATEGORIES:,}"
    codes = column.replace_strict(categories, range(len(categories)), default=None, return_dtype=pl.Float64)
    return TensorSpec(column.name, "BYTES", categories=tuple(categories)), _numbers(codes)


def _numbers(column: pl.Series) -> Floats:
    """As a server gives them to a model: 32-bit floats; what these cannot hold is missing."""
    exact = column.cast(pl.Float64).to_numpy()
    return np.where(_is_held(exact), exact, np.nan).astype(np.float32).astype(np.float64)


def _is_held(numbers: Floats) -> npt.NDArray[np.bool_]:
    """Which numbers a 32-bit float holds; NaN is none."""
    return np.abs(numbers) <= np.finfo(np.float32).max
