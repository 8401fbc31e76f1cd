from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from stackproof.adapters.automl.columns import read_examples
from stackproof.errors import InvalidTable
from stackproof.roles.automl import Problem

LATE = pl.DataFrame({"late": [True, False, True, False]})


def read(**columns: object) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    examples = read_examples(LATE.with_columns(**columns), "late", Problem.BINARY)
    return [f"{spec.name} {spec.datatype}" for spec in examples.features], examples.matrix, examples.left_out


def test_numbers_booleans_and_strings_become_columns_in_their_order() -> None:
    features, matrix, left_out = read(
        text=pl.Series(["b", "a", None, "b"]),
        whole=pl.Series([1, 2, None, 4]),
        real=pl.Series([0.5, None, float("nan"), -1.0]),
        truth=pl.Series([True, None, False, True]),
        money=pl.Series([Decimal("1.5"), Decimal("2.5"), None, None]),
        group=pl.Series(["y", "x", "y", None], dtype=pl.Categorical),
    )
    assert features == ["text BYTES", "whole INT64", "real FP64", "truth BOOL", "money FP64", "group BYTES"]
    nan = float("nan")
    expected = [[1, 0, nan, 1], [1, 2, nan, 4], [0.5, nan, nan, -1], [1, nan, 0, 1]]
    expected += [[1.5, 2.5, nan, nan], [1, 0, 1, nan]]
    np.testing.assert_array_equal(matrix, np.transpose(expected))
    assert left_out == ()


def test_categories_are_sorted_so_that_their_codes_do_not_depend_on_the_order_of_rows() -> None:
    table = LATE.with_columns(text=pl.Series(["ü", "a", "Z", "a"]))
    (spec,) = read_examples(table, "late", Problem.BINARY).features
    assert spec.categories == ("Z", "a", "ü")


def test_columns_that_cannot_be_used_are_left_out_with_the_reason() -> None:
    rows = 1_500
    table = pl.DataFrame(
        {
            "late": [number % 2 == 0 for number in range(rows)],
            "x": range(rows),
            "at": [datetime(2013, 1, 1, tzinfo=UTC)] * rows,
            "day": [date(2013, 1, 1)] * rows,
            "tags": [["a"]] * rows,
            "nothing": pl.Series([None] * rows, dtype=pl.String),
            "endless": [float("inf")] * rows,
            "id": [f"id {number}" for number in range(rows)],
        }
    )
    examples = read_examples(table, "late", Problem.BINARY)
    assert [spec.name for spec in examples.features] == ["x"]
    reasons = "; ".join(examples.left_out)
    assert [reason.split(" ")[0] for reason in examples.left_out] == [
        "at",
        "day",
        "tags",
        "nothing",
        "endless",
        "id",
    ]
    assert "Datetime" in reasons
    assert "all values are null" in reasons
    assert "1,500 categories, more than 1,000" in reasons


def test_values_that_a_server_could_not_pass_on_count_as_missing() -> None:
    _, matrix, _ = read(x=pl.Series([1e300, float("-inf"), 3e38, 0.1]))
    assert np.isnan(matrix[:2, 0]).all()
    assert matrix[3, 0] == np.float32(0.1)


@pytest.mark.parametrize(
    ("target", "problem", "message"),
    [
        (pl.Series([0, 1, 0, 1]), Problem.BINARY, "does not fit"),
        (pl.Series(["a", "b", "a", "b"]), Problem.BINARY, "does not fit"),
        (pl.Series([True, False, True, False]), Problem.REGRESSION, "does not fit"),
        (pl.Series([True, False, None, True]), Problem.BINARY, "1 rows without a value"),
        (pl.Series([1.0, float("nan"), float("inf"), 1e39]), Problem.REGRESSION, "3 rows without a value"),
        (pl.Series([True, False, False, False]), Problem.BINARY, "two rows of each class"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(target: pl.Series, problem: Problem, message: str) -> None:
    table = pl.DataFrame({"x": [1, 2, 3, 4], "y": target})
    with pytest.raises(InvalidTable, match=message):
        read_examples(table, "y", problem)


def test_a_misspelt_target_is_told_with_the_column_that_was_meant() -> None:
    with pytest.raises(InvalidTable, match="did you mean 'late'"):
        read_examples(LATE, "lat", Problem.BINARY)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InvalidTable, match="cannot be read"):
        read_examples(object(), "late", Problem.BINARY)  # type: ignore[arg-type]  # callers may be untyped
