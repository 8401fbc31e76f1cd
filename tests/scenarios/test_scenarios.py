"""Whole teams: answers, and what must hold of the decision. Each scenario is a sentence in a TOML file."""

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stackproof.decide import Decision, decide, parse_answers
from stackproof.facts import load_facts

AS_OF = datetime.date(2026, 11, 21)
KINDS = {
    "tools", "verdicts", "beside", "rejected", "conflicts", "warnings", "not_chosen", "licences_usd",
    "because_mentions", "reason_mentions",
}  # fmt: skip


def _scenarios() -> list[dict[str, Any]]:
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return [scenario for file in files for scenario in tomllib.loads(file.read_text("utf-8"))["scenarios"]]


SCENARIOS = _scenarios()


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario["name"])
def scenario(request: pytest.FixtureRequest) -> dict[str, Any]:
    given: dict[str, Any] = request.param
    return given


@pytest.fixture(scope="module")
def expected(scenario: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = scenario["expect"]
    assert wanted, "a scenario without an expectation can't fail"
    assert set(wanted) <= KINDS
    return wanted


@pytest.fixture(scope="module")
def decision(scenario: dict[str, Any]) -> Decision:
    facts = load_facts()
    return decide(parse_answers(scenario["answers"], facts), facts, as_of=AS_OF)


def test_every_role_ends_as_expected(decision: Decision, expected: dict[str, Any]) -> None:
    tools = {role: decision.roles[role].tool for role in expected.get("tools", {})}
    verdicts = {role: decision.roles[role].verdict for role in expected.get("verdicts", {})}
    assert tools == expected.get("tools", {})
    assert verdicts == expected.get("verdicts", {})
    for role, beside in expected.get("beside", {}).items():
        assert set(beside) <= set(decision.roles[role].beside), role
    chosen = {name for choice in decision.roles.values() for name in (choice.tool, *choice.beside)}
    assert not chosen & set(expected.get("not_chosen", ()))


def test_what_is_struck_out_and_why_is_as_expected(decision: Decision, expected: dict[str, Any]) -> None:
    kinds = {struck.tool: struck.kind for choice in decision.roles.values() for struck in choice.rejected}
    assert {tool: kinds.get(tool) for tool in expected.get("rejected", {})} == expected.get("rejected", {})
    for role, texts in expected.get("because_mentions", {}).items():
        for text in texts:
            assert any(text in line for line in decision.roles[role].because), decision.roles[role].because


def test_departures_and_warnings_are_said(decision: Decision, expected: dict[str, Any]) -> None:
    said = " | ".join(found.text for found in decision.conflicts)
    for name in expected.get("conflicts", ()):
        assert name in said
    for role, text in expected.get("warnings", {}).items():
        assert any(text in warned.text for warned in decision.roles[role].warnings), decision.roles[role].warnings
    for role, text in expected.get("reason_mentions", {}).items():
        assert any(text in reason.text for reason in decision.roles[role].reasons)
    if "licences_usd" in expected:
        assert decision.cost.licences is not None
        assert list(decision.cost.licences) == expected["licences_usd"]


def test_no_two_scenarios_share_a_name() -> None:
    names = [scenario["name"] for scenario in SCENARIOS]
    assert len(names) == len(set(names))
