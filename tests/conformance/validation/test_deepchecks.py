"""Deepchecks keeps the contract of `validation`, and its users find its results."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.validation.deepchecks import Deepchecks
from stackproof.errors import RefusedInput, StorageFailed
from stackproof.roles.validation import Between, Missing, RowCount, Severity
from stackproof.testing.validation import FLIGHTS, ValidationConformance

pytestmark = pytest.mark.tools
ROLE, TOOL = "validation", "deepchecks"


@pytest.mark.usefixtures("in_its_own_environment")
class TestDeepchecks(ValidationConformance):
    """One child serves all tests that share nothing: Deepchecks takes seconds to import."""

    deviations = Deepchecks.deviations

    @pytest.fixture
    def adapter(self, shared: Any) -> Any:
        return shared


def test_its_own_users_find_each_result_with_its_checks_and_conditions(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    expectations = [
        Missing(column="delay", at_most=0.1),
        Between(column="delay", low=0, severity=Severity.WARNING),
        RowCount(at_least=4),
    ]
    adapter.validate("flights", FLIGHTS, expectations)
    (written,) = (tmp_path / "results" / "flights").iterdir()
    told = json.loads(written.read_text())
    assert told["name"] == "flights"
    conditions = [one["conditions_results"][0]["Status"] for one in told["results"]]
    assert sorted(conditions) == ["FAIL", "PASS", "WARN"]


def test_wrong_options_and_results_that_cannot_be_written_are_told(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RefusedInput):
        made(tmp_path, results="pdf")
    with pytest.raises(RefusedInput):
        made(tmp_path, result="json")
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StorageFailed):
        made(tmp_path).validate("flights", FLIGHTS, [RowCount()])
