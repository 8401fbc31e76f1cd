"""Whole teams: answers, and what must hold of the decision. Each scenario is a sentence in a YAML file.

A scenario has `name`, `because` (the source or fact that argues for it), `answers` as in answers.toml, and
`expect`: a mapping whose keys are those of `CHECKS`. An expectation pins only what its argument supports.
"""

import datetime
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package that the tests don't need

from stackproof.decide import Decision, decide, parse_answers
from stackproof.facts import Facts, load_facts
from stackproof.facts.loader import SHIPPED
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
ARGUED = re.compile(r"00\d_[0-9a-f]{16}\.txt|facts of [a-z0-9-]+|answers\.md|design\.md")
Check = Callable[[Decision, Any], Iterable[str]]


@cache
def shipped_facts() -> Facts:
    return load_facts()


@cache
def contradictions() -> Mapping[int, str]:
    """The text of each contradiction between the documents, by its number."""
    entries = tomllib.loads((SHIPPED / "contradictions.toml").read_text("utf-8"))["contradictions"]
    return {entry["number"]: entry["text"] for entry in entries}


def filled_by(decision: Decision, role: str) -> tuple[str, ...]:
    choice = decision.roles[role]
    return (choice.tool, *choice.beside) if choice.verdict == "use" and choice.tool else ()


def considered(decision: Decision, role: str) -> set[str]:
    choice = decision.roles[role]
    ranked = (scored.tool for ranking in choice.rankings for scored in ranking.tools)
    others = (other.tool for other in choice.alternatives)
    struck = (entry.tool for entry in choice.rejected)
    return {*filled_by(decision, role), *ranked, *others, *struck}


def differing(kind: str, wanted: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[str]:
    for key, value in wanted.items():
        if got[key] != value:
            yield f"{kind} of {key}: expected {value}, got {got[key]}"


def check_tools(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    return differing("tool", wanted, {role: decision.roles[role].tool for role in wanted})


def check_verdicts(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    return differing("verdict", wanted, {role: decision.roles[role].verdict for role in wanted})


def check_verdict_in(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    got = {role: decision.roles[role].verdict for role in wanted}
    return (
        f"verdict of {role}: expected one of {of}, got {got[role]}"
        for role, of in wanted.items()
        if got[role] not in of
    )


def check_tool_in(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    got = {role: decision.roles[role].tool for role in wanted}
    return (
        f"tool of {role}: expected one of {of}, got {got[role]}" for role, of in wanted.items() if got[role] not in of
    )


def check_uses(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, tools in wanted.items():
        missing = sorted(set(tools) - set(filled_by(decision, role)))
        if missing:
            yield f"{role} is filled by {filled_by(decision, role)}, without {missing}"


def check_uses_any(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, tools in wanted.items():
        if not set(tools) & set(filled_by(decision, role)):
            yield f"{role} is filled by {filled_by(decision, role)}, by none of {tools}"


def check_beside(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, tools in wanted.items():
        if not set(tools) <= set(decision.roles[role].beside):
            yield f"beside {decision.roles[role].tool} in {role}: expected {tools}, got {decision.roles[role].beside}"


def check_not_chosen(decision: Decision, wanted: list[str]) -> Iterable[str]:
    for role in decision.roles:
        for name in set(wanted) & set(filled_by(decision, role)):
            yield f"{name} is chosen for {role}"


def check_not_together(decision: Decision, wanted: list[list[str]]) -> Iterable[str]:
    chosen = {name for role in decision.roles for name in filled_by(decision, role)}
    return (f"{tools} are chosen together" for tools in wanted if set(tools) <= chosen)


def check_considered(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, tools in wanted.items():
        for name in sorted(set(tools) - considered(decision, role)):
            yield f"{name} is nowhere in {role}: not chosen, ranked, an alternative or struck out"


def check_rejected(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    kinds = {struck.tool: struck.kind for choice in decision.roles.values() for struck in choice.rejected}
    return differing("rejection", wanted, {tool: kinds.get(tool) for tool in wanted})


def check_conflicts(decision: Decision, wanted: list[str]) -> Iterable[str]:
    said = " | ".join(found.text for found in decision.conflicts)
    return (f"no conflict mentions {text!r}" for text in wanted if text.lower() not in said.lower())


def check_contradictions(decision: Decision, wanted: list[int]) -> Iterable[str]:
    for number in wanted:
        met = [found for found in decision.conflicts if contradictions()[number] in found.text]
        if not met:
            yield f"contradiction {number} is not told"
        elif not all(found.followed for found in met):
            yield f"contradiction {number} does not say what was followed"


def check_warnings(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    texts = {role: [warned.text for warned in decision.roles[role].warnings] for role in wanted}
    return _unsaid("warning", wanted, texts)


def check_reason_mentions(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    return _unsaid(
        "reason", wanted, {role: [reason.text for reason in decision.roles[role].reasons] for role in wanted}
    )


def check_because_mentions(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, texts in wanted.items():
        for text in texts:
            yield from _unsaid("constraint", {role: text}, {role: list(decision.roles[role].because)})


def _unsaid(kind: str, wanted: Mapping[str, str], said: Mapping[str, list[str]]) -> Iterator[str]:
    for role, text in wanted.items():
        if not any(text.lower() in line.lower() for line in said[role]):
            yield f"no {kind} of {role} says {text!r}: {said[role]}"


def check_migration(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    moves = {role: decision.roles[role].migration for role in wanted}
    for role, source in wanted.items():
        move = moves[role]
        if move is None or move.source_tool != source or not move.steps:
            yield f"migration of {role} from {source}: got {move}"


def check_migration_mentions(decision: Decision, wanted: Mapping[str, str]) -> Iterable[str]:
    moves = {role: decision.roles[role].migration for role in wanted}
    return _unsaid("migration step", wanted, {role: list(move.steps) if move else [] for role, move in moves.items()})


def check_licences_usd(decision: Decision, wanted: list[float]) -> Iterable[str]:
    if decision.cost.licences is None or list(decision.cost.licences) != wanted:
        yield f"licences: expected {wanted}, got {decision.cost.licences}"


def check_licences_at_most(decision: Decision, wanted: float) -> Iterable[str]:
    if decision.cost.licences is None or decision.cost.licences[0] > wanted:
        yield f"licences cost at least {decision.cost.licences}, above {wanted}"


def check_hours_within_capacity(decision: Decision, wanted: bool) -> Iterable[str]:
    hours, capacity = decision.hours_per_month, decision.hours_available
    if hours is None or capacity is None:
        yield f"hours {hours} or the hours that people have ({capacity}) are unknown"
    elif (hours[0] <= capacity) is not wanted:
        yield f"the stack takes {hours} hours a month, and the people who could operate it have {capacity}"


def check_alternative_stacks(decision: Decision, wanted: int) -> Iterable[str]:
    if len(decision.alternative_stacks) < wanted:
        yield f"{len(decision.alternative_stacks)} alternative stacks, expected at least {wanted}"


def check_scored_above(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    """For a role, tools in falling order of their scores in the first ranking that has them all."""
    for role, tools in wanted.items():
        tables = [{scored.tool: scored.score for scored in ranking.tools} for ranking in decision.roles[role].rankings]
        scores = next(([table[name] for name in tools] for table in tables if set(tools) <= set(table)), None)
        if scores is None or any(first <= second for first, second in pairwise(scores)):
            yield f"{role}: expected falling scores for {tools}, got {scores} of {tables}"


def check_flips(decision: Decision, wanted: Mapping[str, list[str]]) -> Iterable[str]:
    for role, keys in wanted.items():
        flipping = {flip.key for flip in decision.roles[role].flips}
        if not set(keys) <= flipping:
            yield f"{role} flips with {sorted(flipping)}, expected {keys} among them"


def check_weakest(decision: Decision, wanted: str | None) -> Iterable[str]:
    if decision.readiness.weakest != wanted:
        yield f"weakest of the three questions: expected {wanted}, got {decision.readiness.weakest}"


def check_first_roles(decision: Decision, wanted: list[str]) -> Iterable[str]:
    if not set(wanted) <= set(decision.readiness.order):
        yield f"roles to start with: expected {wanted} among them, got {decision.readiness.order}"


def check_cost_is_told(decision: Decision, wanted: list[str]) -> Iterable[str]:
    """Each named part of the cost is a range of which something is above nothing."""
    parts = {name: getattr(decision.cost, name) for name in wanted}
    return (f"cost, {name}: {part}" for name, part in parts.items() if part is None or not 0 <= part[0] <= part[1] > 0)


CHECKS: Mapping[str, Check] = {
    name.removeprefix("check_"): check for name, check in sorted(globals().items()) if name.startswith("check_")
}


def _scenarios() -> list[dict[str, Any]]:
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return [scenario for file in files for scenario in yaml.safe_load(file.read_text("utf-8"))]


SCENARIOS = _scenarios()
by_name = pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario["name"] for scenario in SCENARIOS])


@by_name
def test_what_the_sources_and_the_facts_argue_for_holds(scenario: dict[str, Any]) -> None:
    facts = shipped_facts()
    answers = parse_answers(scenario["answers"], facts)
    expected = scenario["expect"]
    decision = decide(answers, facts, as_of=AS_OF, sensitivity="flips" in expected)
    faults = [fault for kind, wanted in expected.items() for fault in CHECKS[kind](decision, wanted)]
    assert not faults, f"{scenario['because']}\n" + "\n".join(faults)


@by_name
def test_each_scenario_can_fail_and_argues_from_a_source_or_a_fact(scenario: dict[str, Any]) -> None:
    assert set(scenario) == {"name", "because", "answers", "expect"}
    assert scenario["expect"], "a scenario without an expectation can't fail"
    assert set(scenario["expect"]) <= set(CHECKS)
    assert ARGUED.search(scenario["because"]), scenario["because"]
    known = set(shipped_facts().tools) | {"embedded", None}
    assert set(_named_tools(scenario["expect"])) <= known


def _named_tools(expected: Mapping[str, Any]) -> Iterator[str | None]:
    yield from expected.get("not_chosen", ())
    yield from expected.get("rejected", {})
    for names in expected.get("not_together", ()):
        yield from names
    for kind in ("tools", "migration"):
        yield from expected.get(kind, {}).values()
    for kind in ("tool_in", "uses", "uses_any", "beside", "considered", "scored_above"):
        for names in expected.get(kind, {}).values():
            yield from names


def test_no_two_scenarios_share_a_name() -> None:
    names = [scenario["name"] for scenario in SCENARIOS]
    assert sorted(names) == sorted(set(names))


def test_every_role_and_every_kind_of_expectation_is_used() -> None:
    assert {kind for scenario in SCENARIOS for kind in scenario["expect"]} == set(CHECKS)
    by_role = [scenario["expect"].get(kind, {}) for scenario in SCENARIOS for kind in ("tools", "tool_in", "uses")]
    assert {role for roles in by_role for role in roles} >= set(ROLES)


def test_every_contradiction_of_the_documents_has_a_team_that_meets_it() -> None:
    met = {number for scenario in SCENARIOS for number in scenario["expect"].get("contradictions", ())}
    assert met == set(contradictions())
