"""What must hold of a decision, whatever a team answers, weighs or adds to the facts."""

import datetime
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stackproof.decide import Answers, Decision, decide, decided_stack, parse_answers
from stackproof.decide.markdown import decision_record
from stackproof.decide.reach import Usable, reach
from stackproof.decide.scoring import known_weights
from stackproof.decide.sensitivity import other_answers
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Pick, Question, Rating, Value
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
FACTS = load_facts()
BUDGET = "organization.budget_usd_per_year"
Document = dict[str, dict[str, Any]]
FaultsOf = Callable[[Decision, Answers, Facts], list[str]]
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
fewer = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

RELAXED: dict[str, Value] = {
    "infrastructure.hosting": "either",
    "infrastructure.licences": "any",
    "infrastructure.gpu": "nvidia",
    "use_case.frameworks": (),
    "organization.compliance": (),
    "needs.audit": False,
    BUDGET: 10**7,
}
"""For each constraint the answer under which it strikes nothing out."""


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
def answer_files(draw: st.DrawFn) -> Document:
    """Whole files: each key left out or given any allowed value, some criteria weighed."""
    keys = draw(st.lists(st.sampled_from(sorted(FACTS.questions)), unique=True))
    document: Document = {}
    for key in keys:
        section, _, name = key.partition(".")
        document.setdefault(section, {})[name] = draw(_values(FACTS.questions[key]))
    weights = st.dictionaries(st.sampled_from(sorted(known_weights(FACTS))), st.floats(0, 10), max_size=4)
    weighed = draw(weights)
    return {**document, "weights": weighed} if weighed else document


def decided(document: Document, facts: Facts = FACTS, *, sensitivity: bool = False) -> Decision:
    return decide(parse_answers(document, facts), facts, as_of=AS_OF, sensitivity=sensitivity)


def as_bytes(decision: Decision) -> str:
    return json.dumps(decision.to_document()) + decision_record(decision)


@few
@given(document=answer_files())
def test_every_role_is_decided_soundly_and_every_reason_is_sourced(document: Document, faults_of: FaultsOf) -> None:
    assert not faults_of(decided(document), parse_answers(document, FACTS), FACTS)


@fewer
@given(answer_files())
def test_the_same_answers_give_the_same_bytes(document: Document) -> None:
    again = decided(json.loads(json.dumps(document)), load_facts())
    assert as_bytes(decided(document)) == as_bytes(again)


@fewer
@given(answer_files(), st.randoms(use_true_random=False))
def test_the_order_of_the_keys_in_a_file_is_irrelevant(document: Document, random: Random) -> None:
    def shuffled(table: dict[str, Any]) -> dict[str, Any]:
        names = list(table)
        random.shuffle(names)
        return {name: table[name] for name in names}

    other = shuffled({section: shuffled(table) for section, table in document.items()})
    assert as_bytes(decided(document)) == as_bytes(decided(other))


@fewer
@given(answer_files())
def test_answers_written_to_a_file_and_read_again_give_the_same_decision(document: Document) -> None:
    first = parse_answers(document, FACTS)
    again = parse_answers(tomllib.loads(tomli_w.dumps(first.to_document())), FACTS)
    assert again.values == first.values
    assert again.weights == first.weights
    choices = [decide(answers, FACTS, as_of=AS_OF).to_document()["roles"] for answers in (first, again)]
    assert choices[0] == choices[1]


@few
@given(answer_files(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_larger_budget_never_removes_a_tool_from_reach(document: Document, smaller: int, more: int) -> None:
    answers = parse_answers(document, FACTS)

    def usable(budget: int) -> set[str]:
        return {name for name, way in reach(FACTS, answers.changed(BUDGET, budget)).items() if isinstance(way, Usable)}

    assert usable(smaller) <= usable(smaller + more)


def best_scores(decision: Decision) -> dict[tuple[str, str], float]:
    return {
        (role, ranking.aspect): ranking.tools[0].score
        for role, choice in decision.roles.items()
        for ranking in choice.rankings
        if ranking.tools
    }


@few
@given(answer_files(), st.sampled_from(sorted(RELAXED)), st.data())
def test_with_fixed_weights_relaxing_a_constraint_never_worsens_the_best_score(
    document: Document, key: str, data: st.DataObject
) -> None:
    """The rules' votes follow from the answers too, so their weight is fixed at 0."""
    weights = {name: data.draw(st.sampled_from([0, 1, 5, 10])) for name in sorted(known_weights(FACTS))}
    strict = parse_answers({**document, "weights": {**weights, "documents": 0}}, FACTS)
    before = best_scores(decide(strict, FACTS, as_of=AS_OF))
    after = best_scores(decide(strict.changed(key, RELAXED[key]), FACTS, as_of=AS_OF))
    for slot in before.keys() & after.keys():
        assert after[slot] >= before[slot] - 1e-9, slot


def facts_with_one_more(name: str, like: str, seed: int) -> Facts:
    """Another tool like one that there is, rated at random, and named last by some of its rules or by none."""
    random, tool = Random(seed), FACTS.tools[like]
    rated = tuple(
        replace(rating, value=random.choice(sorted(_words_beside(rating))))
        for rating in tool.ratings
        if random.random() < 0.7
    )
    trees = dict(FACTS.trees)
    for role in {*tool.roles, *tool.parts}:
        branches = tuple(
            replace(branch, picks=(*branch.picks, Pick(name))) if random.random() < 0.3 else branch
            for branch in trees[role].branches
        )
        trees[role] = replace(trees[role], branches=branches)
    newcomer = replace(tool, id=name, name=name, requires=(), replaced_by=(), ratings=rated)
    return replace(FACTS, tools={**FACTS.tools, name: newcomer}, trees=trees)


def _words_beside(rating: Rating) -> set[str]:
    """The words that every criterion of the rating's name allows."""
    scales = {criterion.scale for criterion in FACTS.criteria if criterion.id == rating.criterion}
    return set.intersection(*(set(FACTS.scales.words[scale]) for scale in scales))


@few
@given(
    answer_files(),
    st.sampled_from(["aaa-first-by-name", "zzz-last-by-name"]),
    st.sampled_from(sorted(FACTS.tools)),
    st.integers(0, 10**6),
)
def test_adding_a_candidate_never_reorders_or_rescores_the_others(
    document: Document, name: str, like: str, seed: int
) -> None:
    before, after = decided(document), decided(document, facts_with_one_more(name, like, seed))
    for role, choice in before.roles.items():
        for old, new in zip(choice.rankings, after.roles[role].rankings, strict=True):
            others = [(one.tool, one.score) for one in new.tools if one.tool != name]
            assert others == [(one.tool, one.score) for one in old.tools], (role, old.aspect)


@few
@given(answer_files())
def test_a_stack_can_be_made_of_any_decision(document: Document) -> None:
    decision = decided(document)
    stack = decided_stack(decision, "any")
    assert tuple(stack.roles) == ROLES
    for role, choice in stack.roles.items():
        if decision.roles[role].verdict != "use":
            assert choice.tool == "embedded"


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=answer_files())
def test_every_flip_is_true_and_every_share_is_one(document: Document, faults_of: FaultsOf) -> None:
    """What is said to change a role is decided anew, and does."""
    answers = parse_answers(document, FACTS)
    decision = decide(answers, FACTS, as_of=AS_OF, sensitivity=True)
    assert not faults_of(decision, answers, FACTS)
    for role, choice in decision.roles.items():
        assert (choice.stability is None) or 0 <= choice.stability <= 1
        for flip in choice.flips[:4]:
            other = decide(answers.changed(flip.key, flip.after), FACTS, as_of=AS_OF).roles[role]
            assert (other.verdict, other.tool) == (flip.verdict, flip.tool)
            assert (other.verdict, other.tool) != (choice.verdict, choice.tool)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answer_files())
def test_an_answer_that_is_no_flip_changes_no_pick(document: Document) -> None:
    answers = parse_answers(document, FACTS)
    decision = decide(answers, FACTS, as_of=AS_OF, sensitivity=True)
    flipping = {flip.key for choice in decision.roles.values() for flip in choice.flips}
    steady = sorted(set(FACTS.questions) - flipping)
    assume(steady)
    for key in steady[:: max(1, len(steady) // 4)]:
        for value in other_answers(FACTS.questions[key], answers[key]):
            other = decide(answers.changed(key, value), FACTS, as_of=AS_OF)
            assert {role: choice.tool for role, choice in other.roles.items()} == {
                role: choice.tool for role, choice in decision.roles.items()
            }, (key, value)


@settings(max_examples=6, deadline=None)
@given(answer_files())
def test_what_a_verdict_of_none_says_to_relax_leaves_a_tool(document: Document) -> None:
    used = {**document.get("use_case", {}), "frameworks": ["sklearn"], "experiments_per_week": 5}
    strict = {"infrastructure": {"hosting": "managed-only"}, "organization": {"budget_usd_per_year": 0}}
    document = {**document, **strict, "use_case": used}
    decision = decided(document)
    none = [choice for choice in decision.roles.values() if choice.verdict == "none"]
    assert none
    for choice in none:
        assert choice.because[-1].startswith("Cheapest to relax: "), choice.because


@few
@given(answer_files())
def test_the_alternative_stacks_are_sound_and_other_than_the_chosen_one(document: Document) -> None:
    decision = decided(document)
    chosen = {
        role: (choice.tool or "", *choice.beside) for role, choice in decision.roles.items() if choice.verdict == "use"
    }
    seen = [chosen]
    for stack in decision.alternative_stacks:
        assert dict(stack.roles) not in seen
        seen.append(dict(stack.roles))
        assert stack.differs_because
        assert 0 <= stack.score <= 1
        assert set(stack.roles) == set(chosen)
        for name in (name for tools in stack.roles.values() for name in tools):
            assert isinstance(reach(FACTS, parse_answers(document, FACTS))[name], Usable), name


@pytest.mark.parametrize("key", sorted(FACTS.questions))
def test_every_single_other_answer_is_decided_soundly(key: str, faults_of: FaultsOf) -> None:
    """By enumeration: each value of each question, one at a time."""
    answers = parse_answers({}, FACTS)
    for value in other_answers(FACTS.questions[key], answers[key]):
        other = answers.changed(key, value)
        assert not faults_of(decide(other, FACTS, as_of=AS_OF), other, FACTS), value
