import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.validation.embedded import PanderaValidator
from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.validation import (
    Between,
    ColumnType,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    References,
    Unique,
)

VALIDATOR = PanderaValidator(Setting(home=Path()))
FLOATS = st.lists(st.none() | st.floats(), max_size=20)
INTEGERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20)
BOUNDS = st.none() | st.floats(-100, 100)


def only_outcome(values: list[Any], expectation: Expectation, dtype: Any = None, **others: pl.DataFrame) -> Any:
    table = pl.DataFrame({"x": values}, schema={"x": dtype} if dtype else None)
    return VALIDATOR.validate("t", table, [expectation], others=others).outcomes[0]


@given(values=FLOATS, low=BOUNDS, high=BOUNDS)
def test_a_range_equals_a_check_value_by_value(values: list[Any], low: float | None, high: float | None) -> None:
    there = [value for value in values if value is not None and not math.isnan(value)]
    wrong = [v for v in there if (low is not None and v < low) or (high is not None and v > high)]
    outcome = only_outcome(values, Between(column="x", low=low, high=high), pl.Float64)
    assert (outcome.ok, outcome.failing, outcome.checked) == (not wrong, len(wrong), len(there))


@given(values=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", None])), max_size=9))
def test_a_key_equals_a_count_of_twins(values: list[Any]) -> None:
    table = pl.DataFrame(values, schema={"x": pl.Int64, "y": pl.String}, orient="row")
    outcome = VALIDATOR.validate("t", table, [Unique(columns=("x", "y"))]).outcomes[0]
    twins = [row for row in values if values.count(row) > 1]
    assert (outcome.ok, outcome.failing) == (not twins, len(twins))


@given(values=FLOATS | INTEGERS)
def test_a_table_keeps_its_own_profile(values: list[Any]) -> None:
    floats = any(isinstance(value, float) for value in values)
    table = pl.DataFrame({"x": values}, schema={"x": pl.Float64 if floats else pl.Int64})
    assert VALIDATOR.validate("t", table, VALIDATOR.profile(table)).ok


def test_the_profile_of_a_table_is_a_draft_that_a_person_would_write() -> None:
    table = pl.DataFrame({"id": [1, 2, 3, 4], "origin": ["JFK", "LGA", "JFK", None], "note": ["a", "b", "c", "d"]})
    assert VALIDATOR.profile(table) == [
        HasColumn(column="id", type=ColumnType.INTEGER),
        Missing(column="id", at_most=0.0),
        Between(column="id", low=1.0, high=4.0),
        Unique(columns=("id",)),
        HasColumn(column="origin", type=ColumnType.STRING),
        Missing(column="origin", at_most=0.25),
        OneOf(column="origin", values=("JFK", "LGA")),
        HasColumn(column="note", type=ColumnType.STRING),
        Missing(column="note", at_most=0.0),
        Unique(columns=("note",)),
    ]


def test_large_integers_are_told_apart_in_a_reference() -> None:
    other = pl.DataFrame({"id": [2**63]}, schema={"id": pl.UInt64})
    expectation = References(column="x", table="other", other_column="id")
    assert only_outcome([2**63 - 1], expectation, pl.Int64, other=other).failing == 1
    assert only_outcome([2**63], expectation, pl.UInt64, other=other).ok


def test_text_numbers_do_not_refer_to_numbers_and_the_detail_says_why() -> None:
    expectation = References(column="x", table="other", other_column="id")
    outcome = only_outcome(["1"], expectation, other=pl.DataFrame({"id": [1]}))
    assert outcome.detail == "x has the type String, which can't be compared with other.id of the type Int64"


def test_a_misspelt_column_is_answered_with_the_one_meant() -> None:
    table = pl.DataFrame({"carrier": ["AA"]})
    outcome = VALIDATOR.validate("t", table, [OneOf(column="carier", values=("AA",))]).outcomes[0]
    assert outcome.detail == "carier is missing; did you mean 'carrier'?"


def test_a_wrong_type_shows_what_the_column_holds() -> None:
    outcome = only_outcome(["NA", "5", "NA"], HasColumn(column="x", type=ColumnType.NUMBER))
    assert outcome.detail == "x is string, expected number"
    assert outcome.examples == ("NA", "5")


def test_an_unknown_kind_of_expectation_is_refused() -> None:
    with pytest.raises(RefusedInput, match="no such kind of expectation"):
        VALIDATOR.validate("t", pl.DataFrame({"x": [1]}), [Expectation()])


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InvalidTable, match="'t' is no table"):
        VALIDATOR.validate("t", 7, [])  # type: ignore[arg-type]  # meant


def test_a_column_of_mixed_python_objects_gets_outcomes() -> None:
    table = pl.DataFrame({"x": pl.Series([1, "a", None, object()], dtype=pl.Object)})
    expectations = [
        HasColumn(column="x", type=ColumnType.NUMBER),
        Missing(column="x", at_most=0.25),
        Between(column="x", low=0),
        OneOf(column="x", values=("a",)),
        Unique(columns=("x",)),
        References(column="x", table="t", other_column="x"),
    ]
    report = VALIDATOR.validate("t", table, expectations, others={"t": table})
    assert [outcome.ok for outcome in report.outcomes] == [False, True, False, False, False, False]


def test_the_environment_cannot_switch_checking_off() -> None:
    code = (
        "import polars as pl\nfrom pathlib import Path\n"
        "from stackproof.adapters.validation.embedded import PanderaValidator\n"
        "from stackproof.roles.adapter import Setting\nfrom stackproof.roles.validation import Between, OneOf\n"
        "table = pl.DataFrame({'x': [5, 5], 'y': ['a', 'b']})\n"
        "checks = [Between(column='x', high=1), OneOf(column='y', values=('a',))]\n"
        "report = PanderaValidator(Setting(home=Path())).validate('t', table, checks)\n"
        "print([outcome.failing for outcome in report.outcomes])\n"
    )
    environment = {"PANDERA_VALIDATION_ENABLED": "False", "PANDERA_VALIDATION_DEPTH": "SCHEMA_ONLY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 1]\n"
