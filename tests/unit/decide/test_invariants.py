"""What must hold of a decision, whatever a team answers and whatever becomes of a tool."""

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.decide import Answers, Decision, decide, decided_stack, parse_answers
from stackproof.decide.markdown import decision_record
from stackproof.decide.reach import Usable, reach
from stackproof.decide.sensitivity import other_answers
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import DEAD, DOUBTFUL, Question
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
FACTS = load_facts()
CITED = re.compile(r"^(00\d_[0-9a-f]{16}\.txt: |facts of [a-z0-9-]+: )")
few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _values(question: Question) -> st.SearchStrategy[Any]:
    if question.type == "bool":
        return st.booleans()
    if question.type == "int":
        least = int(question.least or 0)
        return st.sampled_from([least, *(int(bucket) for bucket in question.buckets)]) | st.integers(least, 10**9)
    if question.type == "number":
        return st.floats(question.least or 0, 1e6)
    if question.type == "choices":
        return st.lists(st.sampled_from(question.allowed), unique=True)
    return st.sampled_from(question.allowed or sorted(FACTS.tools))


@st.composite
def answer_files(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Whole files: each key left out or given any allowed value."""
    keys = draw(st.lists(st.sampled_from(sorted(FACTS.questions)), unique=True))
    document: dict[str, dict[str, Any]] = {}
    for key in keys:
        section, _, name = key.partition(".")
        document.setdefault(section, {})[name] = draw(_values(FACTS.questions[key]))
    return document


def decided(document: dict[str, dict[str, Any]], facts: Facts = FACTS) -> Decision:
    return decide(parse_answers(document, facts), facts, as_of=AS_OF)


def chosen(decision: Decision) -> Iterator[tuple[str, str]]:
    for role, choice in decision.roles.items():
        if choice.verdict == "use":
            yield from ((role, name) for name in (choice.tool or "", *choice.beside))


def assert_sound(decision: Decision, facts: Facts, answers: Answers) -> None:
    assert tuple(decision.roles) == ROLES
    in_reach = reach(facts, answers)
    for role, choice in decision.roles.items():
        assert choice.verdict in ("use", "defer", "skip", "none")
        assert choice.reasons, role
        assert (choice.tool is None) is (choice.verdict in ("skip", "none")), role
        assert (choice.tool == "embedded") is (choice.verdict == "defer"), role
        assert bool(choice.because) is (choice.verdict == "none"), role
        cited = (*choice.reasons, *choice.warnings, *choice.rejected)
        for entry in cited:
            assert entry.source
            assert entry.date is not None or "(undated)" in entry.source, entry
        assert all(CITED.match(reason.source) for reason in choice.reasons), choice.reasons
        struck = {entry.tool for entry in choice.rejected}
        assert not struck & {choice.tool, *choice.beside}, role
    for role, name in chosen(decision):
        tool = facts.tools[name]
        assert tool.status.value not in DEAD, name
        assert isinstance(in_reach[name], Usable), name
        warned = [warning for warning in decision.roles[role].warnings if tool.name in warning.text]
        assert tool.status.value not in DOUBTFUL or warned, name


@few
@given(answer_files())
def test_every_role_is_decided_soundly_and_every_reason_is_sourced(document: dict[str, dict[str, Any]]) -> None:
    assert_sound(decided(document), FACTS, parse_answers(document, FACTS))


@few
@given(answer_files())
def test_no_chosen_tool_breaks_a_hard_constraint(document: dict[str, dict[str, Any]]) -> None:
    """Stated here again, apart from the code that strikes tools out."""
    answers, decision = parse_answers(document, FACTS), decided(document)
    hosting, licences = answers["infrastructure.hosting"], answers["infrastructure.licences"]
    frameworks, cloud = set(answers.names("use_case.frameworks")), answers["infrastructure.cloud"]
    for _, name in chosen(decision):
        tool = FACTS.tools[name]
        modes = [mode for mode in tool.modes if not mode.kubernetes or answers["infrastructure.kubernetes"] != "none"]
        forbidden = {"self-hosted-only": "managed", "managed-only": "self-hosted"}.get(str(hosting))
        modes = [mode for mode in modes if mode.hosting != forbidden]
        assert modes, name
        if answers["organization.budget_usd_per_year"] == 0 and not answers["organization.academic"]:
            assert any(mode.cost in ("free", "included") or mode.free_seats for mode in modes), name
        assert licences != "open-source-only" or tool.text("licence_kind") == "open-source", name
        assert not tool.names("frameworks") or frameworks <= set(tool.names("frameworks")), name
        bound = set(tool.names("cloud"))
        if bound:
            on_databricks = "databricks" in bound and answers["infrastructure.databricks"]
            assert cloud in bound or on_databricks or (cloud == "multi" and answers["needs.lock_in"] == "accept"), name


@few
@given(answer_files())
def test_the_licences_fit_the_budget(document: dict[str, dict[str, Any]]) -> None:
    decision, answers = decided(document), parse_answers(document, FACTS)
    if decision.cost.licences is not None:
        assert decision.cost.licences[0] <= answers.number("organization.budget_usd_per_year")


@settings(max_examples=15, deadline=None)
@given(answer_files())
def test_the_same_answers_give_the_same_bytes(document: dict[str, dict[str, Any]]) -> None:
    first, again = decided(document), decided(json.loads(json.dumps(document)), load_facts())
    assert json.dumps(first.to_document()) == json.dumps(again.to_document())
    assert decision_record(first) == decision_record(again)


@few
@given(answer_files(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_larger_budget_never_removes_a_tool_from_reach(
    document: dict[str, dict[str, Any]], smaller: int, more: int
) -> None:
    answers = parse_answers(document, FACTS)
    key = "organization.budget_usd_per_year"

    def usable(budget: int) -> set[str]:
        return {name for name, way in reach(FACTS, answers.changed(key, budget)).items() if isinstance(way, Usable)}

    assert usable(smaller) <= usable(smaller + more)


@few
@given(answer_files(), st.sets(st.sampled_from(sorted(FACTS.tools)), max_size=12), st.sampled_from(sorted(DEAD)))
def test_retiring_any_tools_never_breaks_a_decision_or_lets_them_through(
    document: dict[str, dict[str, Any]], retired: set[str], status: str
) -> None:
    tools = {
        name: replace(tool, facts={**tool.facts, "status": replace(tool.status, value=status)})
        if name in retired
        else tool
        for name, tool in FACTS.tools.items()
    }
    facts = replace(FACTS, tools=tools)
    decision = decided(document, facts)
    assert_sound(decision, facts, parse_answers(document, facts))
    assert not retired & {name for _, name in chosen(decision)}


@few
@given(answer_files())
def test_a_stack_can_be_made_of_any_decision(document: dict[str, dict[str, Any]]) -> None:
    decision = decided(document)
    stack = decided_stack(decision, "any")
    assert tuple(stack.roles) == ROLES
    for role, choice in stack.roles.items():
        assert (choice.tool == "embedded") is (decision.roles[role].verdict != "use")
        assert bool(choice.deferred) is (decision.roles[role].verdict != "use")


@settings(max_examples=6, deadline=None)
@given(answer_files())
def test_every_flip_is_true(document: dict[str, dict[str, Any]]) -> None:
    """What is said to change a role is decided anew, and does."""
    answers = parse_answers(document, FACTS)
    decision = decide(answers, FACTS, as_of=AS_OF, sensitivity=True)
    for role, choice in decision.roles.items():
        for flip in choice.flips[:4]:
            other = decide(answers.changed(flip.key, flip.after), FACTS, as_of=AS_OF).roles[role]
            assert (other.verdict, other.tool) == (flip.verdict, flip.tool)
            assert (other.verdict, other.tool) != (choice.verdict, choice.tool)


@settings(max_examples=6, deadline=None)
@given(answer_files())
def test_what_a_verdict_of_none_says_to_relax_leaves_a_tool(document: dict[str, dict[str, Any]]) -> None:
    document = document | {"infrastructure": {"hosting": "managed-only"}, "organization": {"budget_usd_per_year": 0}}
    decision = decided(document)
    none = [choice for choice in decision.roles.values() if choice.verdict == "none"]
    assert none
    for choice in none:
        assert choice.because[-1].startswith("Cheapest to relax: "), choice.because


def test_every_single_other_answer_is_decided_soundly() -> None:
    """By enumeration: each value of each question, one at a time."""
    answers = parse_answers({}, FACTS)
    tried = 0
    for key, question in FACTS.questions.items():
        for value in other_answers(question, answers[key]):
            other = answers.changed(key, value)
            assert_sound(decide(other, FACTS, as_of=AS_OF), FACTS, other)
            tried += 1
    assert tried > 140


@pytest.mark.parametrize("name", sorted(FACTS.tools))
def test_a_catalogue_without_one_tool_still_decides(name: str) -> None:
    """A tool that is archived tomorrow is gone from every role and its replacement or the next takes over."""
    gone = replace(FACTS.tools[name].status, value="archived")
    tool = replace(FACTS.tools[name], facts={**FACTS.tools[name].facts, "status": gone})
    facts = replace(FACTS, tools={**FACTS.tools, name: tool})
    organization = {"budget_usd_per_year": 50000}
    use_case = {"workloads": ["realtime"], "models_in_production": 12}
    decision = decided({"organization": organization, "use_case": use_case}, facts)
    assert name not in {tool_name for _, tool_name in chosen(decision)}
    assert decision.roles["tracking"].verdict == "use"
