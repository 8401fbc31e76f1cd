"""Great Expectations 1.x, in an environment of its own, keeps the contract of validation."""

import json
import math
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.adapters.validation.embedded import PanderaValidator
from stackproof.errors import Conflict, RefusedInput, StorageFailed, UnknownName
from stackproof.roles.adapter import Setting
from stackproof.roles.validation import (
    Between,
    ColumnType,
    HasColumn,
    Missing,
    OneOf,
    References,
    RowCount,
    Severity,
    Unique,
)
from stackproof.testing.validation import FLIGHTS, HOSTILE, ONE_OF_EACH_KIND, TYPES, ValidationConformance

ROLE, TOOL = "validation", "great-expectations"
READ_BACK = """
import json, sys
import great_expectations as gx

context = gx.get_context(mode="file", project_root_dir=sys.argv[1])
suite = context.suites.get("flights")
definition = context.validation_definitions.get("flights")
store = context.validation_results_store
results = [store.get(key) for key in store.list_keys()]
print(json.dumps({
    "suites": [kept.name for kept in context.suites.all()],
    "expectations": [[e.expectation_type, e.severity.value, e.configuration.kwargs] for e in suite.expectations],
    "checks": [definition.data_source.name, definition.asset.name, definition.suite.name],
    "results": [[r.suite_name, r.success, len(r.results)] for r in results],
    "analytics": context.config.analytics_enabled,
}))
"""


@pytest.mark.tools
@pytest.mark.usefixtures("in_its_own_environment")
class TestGreatExpectations(ValidationConformance):
    """One child serves all tests that share nothing: Great Expectations takes seconds to import."""

    @pytest.fixture
    def adapter(self, shared: Any) -> Any:
        return shared

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_it_finds_what_the_embedded_validator_finds(self, adapter: Any, kind: str, tmp_path: Path) -> None:
        embedded = PanderaValidator(Setting(tmp_path))
        expectations = [
            *ONE_OF_EACH_KIND,
            *(HasColumn(column="x", type=column_type) for column_type in ColumnType),
            Between(column="x"),
            Between(column="x", low=-math.inf, high=0.5),
            Between(column="x", low=math.nan),
            Between(column="x", low=2, high=1),
            Missing(column="x", at_most=0.5),
            OneOf(column="x", values=()),
            Unique(columns=()),
            RowCount(at_least=3, at_most=2),
        ]
        others = {"other": HOSTILE[kind]}
        theirs = adapter.validate("x", HOSTILE[kind], expectations, others=others)
        ours = embedded.validate("x", HOSTILE[kind], expectations, others=others)
        for found, expected in zip(theirs.outcomes, ours.outcomes, strict=True):
            assert (found.ok, found.failing, found.checked) == (expected.ok, expected.failing, expected.checked), found

    def test_null_agrees_with_null_in_a_key(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": [1, None, None]})
        outcome = self.outcome(adapter, table, Unique(columns=("x",)))
        assert (outcome.ok, outcome.failing, outcome.checked, outcome.examples) == (False, 2, 3, ("None",))

    def test_a_share_that_is_no_binary_fraction_is_kept_to_the_row(self, adapter: Any) -> None:
        for rows in (3, 7, 10, 49, 1000):
            table = pl.DataFrame({"x": [None, *range(rows - 1)]})
            assert self.outcome(adapter, table, Missing(column="x", at_most=1 / rows)).ok
            assert not self.outcome(adapter, table, Missing(column="x", at_most=0.999 / rows)).ok

    def test_a_reference_to_many_values_finds_the_same_as_one_to_few(self, adapter: Any) -> None:
        table = pl.DataFrame({"x": [1, 2, None, 70_000, 2**60 + 1, 2]})
        expectation = References(column="x", table="other", other_column="id")
        few = {"other": pl.DataFrame({"id": [1, 2, 2**60]})}
        many = {"other": pl.DataFrame({"id": [*range(50_000), 2**60]})}
        for others in (few, many):
            outcome = self.outcome(adapter, table, expectation, others)
            assert (outcome.failing, outcome.checked) == (2, 5)
            assert outcome.examples == ("70000", str(2**60 + 1))

    def test_instants_refer_to_instants_that_have_a_zone_like_them(self, adapter: Any) -> None:
        noon, one = datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=UTC)
        table = pl.DataFrame({"x": [noon, one]})
        expectation = References(column="x", table="other", other_column="at")
        assert self.outcome(adapter, table, expectation, {"other": pl.DataFrame({"at": [noon, one]})}).ok
        assert self.outcome(adapter, table, expectation, {"other": pl.DataFrame({"at": [noon]})}).failing == 1
        naive = pl.DataFrame({"at": [noon.replace(tzinfo=None), one.replace(tzinfo=None)]})
        assert not self.outcome(adapter, table, expectation, {"other": naive}).ok

    def test_a_share_that_is_none_is_refused(self, adapter: Any) -> None:
        for share in (-0.1, 1.1, math.nan):
            with pytest.raises(RefusedInput, match="share"):
                adapter.validate("flights", FLIGHTS, [Missing(column="delay", at_most=share)])


@pytest.mark.tools
def test_its_own_users_find_the_suite_the_definition_and_the_results(
    made: Callable[..., Any], python: Path, tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    expectations = [
        HasColumn(column="carrier", type=TYPES["carrier"]),
        Between(column="delay", low=-5, high=100, severity=Severity.WARNING),
        Between(column="delay", low=-5, high=100, severity=Severity.WARNING),
        Missing(column="delay", at_most=0.05),
        Unique(columns=("number",)),
        OneOf(column="carrier", values=("AA", "UA", "ü")),
        References(column="carrier", table="carriers", other_column="code"),
        RowCount(at_least=4),
    ]
    others = {"carriers": pl.DataFrame({"code": ["AA", "UA"]})}
    for _ in range(2):
        report = adapter.validate("flights", FLIGHTS, expectations, others=others)
    assert not report.ok
    adapter.validate("other é/../\n", FLIGHTS, [RowCount()])
    told = subprocess.run([str(python), "-c", READ_BACK, str(tmp_path)], capture_output=True, text=True, check=True)
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["expectations"] == [
        ["expect_column_values_to_be_in_type_list", "critical", {"column": "carrier", "type_list": ["StringDtype"]}],
        ["expect_column_values_to_be_between", "warning", {"column": "delay", "min_value": -5.0, "max_value": 100.0}],
        ["expect_column_values_to_not_be_null", "critical", {"column": "delay", "mostly": 0.95}],
        ["expect_column_values_to_be_unique", "critical", {"column": "number"}],
        ["expect_column_values_to_be_in_set", "critical", {"column": "carrier", "value_set": ["AA", "UA", "ü"]}],
        [
            "expect_column_values_to_be_in_set",
            "critical",
            {"column": "carrier", "value_set": {"$PARAMETER": "values_6"}},
        ],
        ["expect_table_row_count_to_be_between", "critical", {"min_value": 4}],
    ]
    assert found["checks"] == ["stackproof", "flights", "flights"]
    assert sorted(found["results"])[:2] == [["flights", False, 7]] * 2
    assert len(found["suites"]) == len(found["results"]) - 1 == 2
    assert found["analytics"] is False


@pytest.mark.tools
def test_data_docs_are_written_when_asked_for_and_an_ephemeral_context_leaves_nothing(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    documented, ephemeral = tmp_path / "documented", tmp_path / "ephemeral"
    for home, options in ((documented, {"data_docs": True}), (ephemeral, {"context": "ephemeral"})):
        home.mkdir()
        assert made(home, **options).validate("flights", FLIGHTS, [RowCount()]).ok
    assert (documented / "gx/uncommitted/data_docs/local_site/index.html").exists()
    assert list(ephemeral.iterdir()) == []


@pytest.mark.tools
def test_wrong_options_and_a_spoilt_project_are_told(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'context'"):
        made(tmp_path, contxt="file")
    with pytest.raises(RefusedInput, match="ephemeral"):
        made(tmp_path, context="cloud")
    with pytest.raises(RefusedInput, match="data_docs"):
        made(tmp_path, context="ephemeral", data_docs=True)
    adapter = made(tmp_path)
    adapter.validate("flights", FLIGHTS, [RowCount()])
    suite = tmp_path / "gx/expectations/flights.json"
    suite.write_text("{")
    with pytest.raises(Conflict, match="its project"):
        adapter.validate("flights", FLIGHTS, [RowCount()])
    suite.unlink()
    (tmp_path / "gx/great_expectations.yml").write_text("no: [")
    with pytest.raises(Conflict, match="its project"):
        adapter.validate("flights", FLIGHTS, [RowCount()])
    assert not adapter.health().ok


@pytest.mark.tools
def test_a_project_that_cannot_be_written_is_told(made: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "gx").write_text("a file")
    with pytest.raises(StorageFailed, match="gx"):
        made(tmp_path).validate("flights", FLIGHTS, [RowCount()])
