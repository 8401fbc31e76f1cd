"""The contract of `stackproof.roles.validation`, executable. Subclass `ValidationConformance`."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from stackproof.errors import RefusedInput
from stackproof.roles.validation import (
    Between,
    ColumnType,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    Outcome,
    References,
    RowCount,
    Severity,
    Unique,
    ValidationReport,
)
from stackproof.testing.conformance import Conformance, needs

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
FLIGHTS = pl.DataFrame(
    {
        "number": [1, 2, 3, 4],
        "carrier": ["AA", "UA", None, "ü"],
        "delay": [1.5, -3.0, None, 99.0],
        "cancelled": [True, False, None, False],
        "departs": [NOON, NOON, None, NOON],
    }
)
TYPES = {
    "number": ColumnType.INTEGER,
    "carrier": ColumnType.STRING,
    "delay": ColumnType.NUMBER,
    "cancelled": ColumnType.BOOLEAN,
    "departs": ColumnType.INSTANT,
}
ONE_OF_EACH_KIND: tuple[Expectation, ...] = (
    HasColumn(column="x", type=ColumnType.NUMBER),
    Missing(column="x"),
    Between(column="x", low=0, high=1),
    OneOf(column="x", values=("a",)),
    Unique(columns=("x",)),
    References(column="x", table="other", other_column="x"),
    RowCount(at_least=1, at_most=1),
)
HOSTILE: Mapping[str, pl.DataFrame] = {
    "no rows": pl.DataFrame({"x": []}, schema={"x": pl.Float64}),
    "no columns": pl.DataFrame(),
    "another column": pl.DataFrame({"y": [1]}),
    "all null": pl.DataFrame({"x": [None, None]}, schema={"x": pl.Float64}),
    "null without a type": pl.DataFrame({"x": [None, None]}),
    "NaN": pl.DataFrame({"x": [math.nan, math.nan]}),
    "infinite": pl.DataFrame({"x": [math.inf, -math.inf, 0.5]}),
    "text": pl.DataFrame({"x": ["1", "", "\0", "ü" * 1000]}),
    "booleans": pl.DataFrame({"x": [True, None]}),
    "instants": pl.DataFrame({"x": [NOON, None]}),
    "dates": pl.DataFrame({"x": [NOON.date(), None]}),
    "lists": pl.DataFrame({"x": [[1], [1], None]}),
    "structs": pl.DataFrame({"x": [{"a": 1}, {"a": 1}]}),
    "bytes": pl.DataFrame({"x": [b"\xff", b"\xff"]}),
    "large integers": pl.DataFrame({"x": [2**63, 2**64 - 1]}, schema={"x": pl.UInt64}),
    "categories": pl.DataFrame({"x": ["a", "b"]}, schema={"x": pl.Categorical}),
    "decimals": pl.DataFrame({"x": ["0.5", "7.5"]}).with_columns(pl.col("x").cast(pl.Decimal(10, 2))),
    "one row": pl.DataFrame({"x": [0.5]}),
}


class ValidateConformance(Conformance):
    """Capability "validate"."""

    def report(
        self, adapter: Any, table: pl.DataFrame, *expectations: Expectation, others: Mapping[str, Any] | None = None
    ) -> ValidationReport:
        needs(adapter, "validate")
        report = adapter.validate("flights", table, expectations, others=others)
        assert isinstance(report, ValidationReport)
        assert [outcome.expectation for outcome in report.outcomes] == list(expectations)
        return report

    def outcome(
        self, adapter: Any, table: pl.DataFrame, expectation: Expectation, others: Mapping[str, Any] | None = None
    ) -> Outcome:
        (outcome,) = self.report(adapter, table, expectation, others=others).outcomes
        assert outcome.detail
        assert "\n" not in outcome.detail
        return outcome

    def test_a_report_names_the_table_and_counts_its_rows(self, adapter: Any) -> None:
        report = self.report(adapter, FLIGHTS)
        assert (report.table, report.rows, report.outcomes, report.ok) == ("flights", 4, (), True)

    def test_outcomes_come_in_the_order_given_and_a_failing_one_stops_no_other(self, adapter: Any) -> None:
        report = self.report(
            adapter,
            FLIGHTS,
            Missing(column="absent"),
            RowCount(at_least=99),
            Between(column="number", low=0, high=9),
            Between(column="number", low=3),
            OneOf(column="carrier", values=("AA",)),
            Unique(columns=("number",)),
            Between(column="number", low=0, high=9),
        )
        assert [outcome.ok for outcome in report.outcomes] == [False, False, True, False, False, True, True]

    def test_only_a_failed_error_makes_a_report_fail(self, adapter: Any) -> None:
        failing = RowCount(at_least=99, severity=Severity.WARNING)
        assert self.report(adapter, FLIGHTS, failing).ok
        assert not self.report(adapter, FLIGHTS, failing, RowCount(at_least=99)).ok

    @pytest.mark.parametrize("column", TYPES)
    def test_a_column_has_its_own_type_and_no_other(self, adapter: Any, column: str) -> None:
        for kind in ColumnType:
            outcome = self.outcome(adapter, FLIGHTS, HasColumn(column=column, type=kind))
            fits = kind is TYPES[column] or (column == "number" and kind is ColumnType.NUMBER)
            assert outcome.ok is fits
            assert (outcome.failing, outcome.checked) == (0 if fits else 4, 4)

    def test_null_and_nan_are_missing(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": [1.0, None, math.nan, 2.0]})
        half, none = Missing(column="x", at_most=0.5), Missing(column="x", at_most=0.49)
        assert self.outcome(adapter, table, half).ok
        outcome = self.outcome(adapter, table, none)
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 2, 4)

    @pytest.mark.parametrize("share", [-0.01, 1.01, math.nan])
    def test_a_share_that_is_none_is_refused(self, adapter: Any, share: float) -> None:
        with pytest.raises(RefusedInput, match="delay"):
            self.report(adapter, FLIGHTS, Missing(column="delay", at_most=share))

    def test_a_table_without_rows_has_nothing_missing(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS.clear(), Missing(column="delay")).ok

    def test_a_range_holds_its_bounds(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS, Between(column="delay", low=-3, high=99)).ok
        outcome = self.outcome(adapter, FLIGHTS, Between(column="delay", low=-2.999, high=98.999))
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 2, 3)
        assert set(outcome.examples) == {"-3.0", "99.0"}

    def test_a_range_may_be_open(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS, Between(column="delay")).ok
        assert self.outcome(adapter, FLIGHTS, Between(column="delay", low=0)).failing == 1
        assert self.outcome(adapter, FLIGHTS, Between(column="delay", high=0)).failing == 2

    def test_no_value_lies_in_a_range_turned_round(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS, Between(column="delay", low=5, high=1)).failing == 3

    def test_a_missing_value_lies_in_any_range_and_an_infinite_one_in_none(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": [None, math.nan, math.inf, -math.inf, 0.0]})
        outcome = self.outcome(adapter, table, Between(column="x", low=-1e308, high=1e308))
        assert (outcome.failing, outcome.checked) == (2, 3)

    def test_a_value_is_one_of_those_given_or_missing(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS, OneOf(column="carrier", values=("ü", "UA", "AA", "ZZ"))).ok
        outcome = self.outcome(adapter, FLIGHTS, OneOf(column="carrier", values=("AA",)))
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 2, 3)
        assert set(outcome.examples) == {"UA", "ü"}

    def test_no_value_is_one_of_none(self, adapter: Any) -> None:
        assert self.outcome(adapter, FLIGHTS, OneOf(column="carrier", values=())).failing == 3

    def test_rows_that_agree_in_every_column_of_a_key_fail(self, adapter: Any) -> None:
        table = pl.DataFrame({"a": [1, 1, 1, 2], "b": ["x", "y", "x", "x"]})
        assert self.outcome(adapter, table[1:], Unique(columns=("a", "b"))).ok
        outcome = self.outcome(adapter, table, Unique(columns=("a", "b")))
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 2, 4)
        assert outcome.examples == ("1, x",)

    def test_a_key_that_names_a_column_twice_is_refused_with_its_name(self, adapter: Any) -> None:
        for columns in (("number", "number"), ("carrier", "number", "carrier"), ("dealy", "dealy")):
            with pytest.raises(RefusedInput, match=repr(columns[-1])):
                self.report(adapter, FLIGHTS, RowCount(), Unique(columns=columns))

    def test_values_refer_to_another_table(self, adapter: Any) -> None:
        expectation = References(column="carrier", table="carriers", other_column="code")
        carriers = pl.DataFrame({"code": ["ü", "AA", "UA"], "name": ["", "American", "United"]})
        assert self.outcome(adapter, FLIGHTS, expectation, {"carriers": carriers}).ok
        outcome = self.outcome(adapter, FLIGHTS, expectation, {"carriers": carriers[2:]})
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 2, 3)
        assert set(outcome.examples) == {"AA", "ü"}

    def test_a_reference_compares_numbers_by_value(self, adapter: Any) -> None:
        expectation = References(column="number", table="others", other_column="id")
        others = {"others": pl.DataFrame({"id": [1, 2, 3, 4]}, schema={"id": pl.UInt8})}
        assert self.outcome(adapter, FLIGHTS, expectation, others).ok
        others = {"others": pl.DataFrame({"id": [1.0, 2.0, 3.5]})}
        assert self.outcome(adapter, FLIGHTS, expectation, others).failing == 2

    def test_a_reference_to_a_column_that_is_missing_or_of_another_type_fails(self, adapter: Any) -> None:
        carriers = {"carriers": pl.DataFrame({"code": [1, 2]})}
        for column in ("absent", "code"):
            expectation = References(column="carrier", table="carriers", other_column=column)
            outcome = self.outcome(adapter, FLIGHTS, expectation, carriers)
            assert (outcome.ok, outcome.failing, outcome.checked) == (False, 4, 4)

    def test_a_reference_to_a_table_that_was_not_given_is_refused(self, adapter: Any) -> None:
        expectation = References(column="carrier", table="carriers", other_column="code")
        with pytest.raises(RefusedInput, match="carriers"):
            self.report(adapter, FLIGHTS, expectation)

    @pytest.mark.parametrize(
        ("expectation", "ok"),
        [
            (RowCount(), True),
            (RowCount(at_least=4, at_most=4), True),
            (RowCount(at_least=None, at_most=None), True),
            (RowCount(at_least=5), False),
            (RowCount(at_least=None, at_most=3), False),
        ],
    )
    def test_a_row_count_holds_its_bounds(self, adapter: Any, expectation: RowCount, ok: bool) -> None:
        assert self.outcome(adapter, FLIGHTS, expectation).ok is ok

    @pytest.mark.parametrize(
        "expectation",
        [
            HasColumn(column="dealy", type=ColumnType.NUMBER),
            Missing(column="dealy", at_most=1),
            Between(column="dealy"),
            OneOf(column="dealy", values=("a",)),
            Unique(columns=("number", "dealy")),
            References(column="dealy", table="flights", other_column="delay"),
        ],
    )
    def test_a_missing_column_fails_every_row(self, adapter: Any, expectation: Expectation) -> None:
        outcome = self.outcome(adapter, FLIGHTS, expectation, {"flights": FLIGHTS})
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 4, 4)
        assert "dealy" in outcome.detail
        assert not self.outcome(adapter, FLIGHTS.clear(), expectation, {"flights": FLIGHTS}).ok

    @pytest.mark.parametrize(
        "expectation",
        [
            Between(column="carrier", low=0, high=1),
            Between(column="cancelled", low=0, high=1),
            OneOf(column="number", values=("1", "2", "3", "4")),
        ],
    )
    def test_a_type_that_cannot_be_compared_fails_every_row(self, adapter: Any, expectation: Expectation) -> None:
        outcome = self.outcome(adapter, FLIGHTS, expectation)
        assert (outcome.ok, outcome.failing, outcome.checked) == (False, 4, 4)

    def test_at_most_five_examples_are_given(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": list(range(100)), "y": ["twin"] * 100})
        for expectation in (Between(column="x", low=1000), OneOf(column="y", values=()), Unique(columns=("y",))):
            outcome = self.outcome(adapter, table, expectation)
            assert outcome.failing == 100
            assert 1 <= len(outcome.examples) <= 5
            assert all(isinstance(example, str) for example in outcome.examples)

    def test_the_table_given_is_not_changed(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": [math.inf, None, 1.0]})
        self.report(adapter, table, Between(column="x", low=0), Unique(columns=("x",)), Missing(column="x"))
        assert table.equals(pl.DataFrame({"x": [math.inf, None, 1.0]}))

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_every_expectation_has_an_outcome_whatever_the_table_holds(self, adapter: Any, kind: str) -> None:
        table = HOSTILE[kind]
        for other in HOSTILE.values():
            report = self.report(adapter, table, *ONE_OF_EACH_KIND, others={"other": other})
            for outcome in report.outcomes:
                assert 0 <= outcome.failing <= outcome.checked <= table.height
                assert outcome.detail


class ProfileConformance(Conformance):
    """Capability "profile"."""

    def drafted(self, adapter: Any, table: pl.DataFrame) -> list[Expectation]:
        needs(adapter, "profile")
        return list(adapter.profile(table))

    def test_a_profile_tells_types_and_ranges_by_column_order(self, adapter: Any) -> None:
        drafted = self.drafted(adapter, FLIGHTS)
        typed = [(e.column, e.type) for e in drafted if isinstance(e, HasColumn)]
        assert typed == list(TYPES.items())
        assert Between(column="delay", low=-3.0, high=99.0) in drafted
        assert Missing(column="number", at_most=0.0) in drafted

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_a_table_keeps_its_own_profile(self, adapter: Any, kind: str) -> None:
        needs(adapter, "validate")
        drafted = self.drafted(adapter, HOSTILE[kind])
        report = adapter.validate("hostile", HOSTILE[kind], drafted)
        assert report.ok, [outcome for outcome in report.outcomes if not outcome.ok]

    def test_a_profile_notices_what_another_table_breaks(self, adapter: Any) -> None:
        needs(adapter, "validate")
        drafted = self.drafted(adapter, FLIGHTS)
        changed = FLIGHTS.with_columns(pl.col("delay") * 10)
        assert not adapter.validate("changed", changed, drafted).ok


class ValidationConformance(ValidateConformance, ProfileConformance):
    """Everything that an adapter of the role `validation` owes."""
