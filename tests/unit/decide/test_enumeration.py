"""Every pair of answers that some rule looks at, and every combination of those that decide a role's gates.

Pairs are covered by rows of answers: each row is a whole file of answers, and every pair of values of two questions
stands together in at least one row. A fault that two answers cause together is so found, whatever the others are.
"""

import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from math import prod
from random import Random

import pytest

from stackproof.decide import Answers, Decision, decide, parse_answers
from stackproof.decide.reach import CONSTRAINT_KEYS
from stackproof.decide.sensitivity import keys_of_role, keys_that_matter
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import AllOf, Condition, Value
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
FACTS = load_facts()
MOST = 1_000
"""Rows that the slow tests try for a role's gates: all of them, save for features and monitoring."""
GATED = [role for role in ROLES if any(gate.role == role for gate in FACTS.gates)]
SAMPLED = 100
OF_A_ROLE = 300
PAIRS = 1_000
SEED = 7
Domains = Mapping[str, Sequence[Value]]
Row = dict[str, Value]
End = tuple[str, int]
Pair = tuple[End, End]
FaultsOf = Callable[[Decision, Answers, Facts], list[str]]


def _conditions() -> Iterator[Condition]:
    groups: list[AllOf] = [group for gate in FACTS.gates for group in (gate.when, *gate.unless)]
    for tree in FACTS.trees.values():
        groups += [group for aspect in tree.aspects for group in (aspect.when, *aspect.any)]
        groups += [group for branch in tree.branches for group in (branch.when, *branch.any, branch.given)]
    groups += [change.when for criterion in FACTS.criteria for change in criterion.changes]
    return (condition for group in groups for condition in group)


def values_of(key: str) -> list[Value]:
    """The values worth trying: all choices; none, each one and all of a list; both sides of every limit."""
    question = FACTS.questions[key]
    if question.type == "bool":
        return [False, True]
    if question.type == "choice":
        return [*question.allowed] if question.default is not None else [None, *question.allowed]
    if question.type == "choices":
        return [(), *((name,) for name in question.allowed), question.allowed]
    if question.type == "tool":
        return [None, *_tools_of(key.partition(".")[2])]
    limits = {condition.value for condition in _conditions() if condition.key == key}
    numbers = {number for number in (*limits, *question.buckets) if isinstance(number, (int, float))}
    tried = sorted({around for number in numbers for around in (number - 1, number)} | {question.least or 0})
    return [int(number) if question.type == "int" else number for number in tried if number >= (question.least or 0)]


def _tools_of(role: str) -> list[str]:
    """A dead tool in use, a paid one, a free one, and those that some rule asks about."""
    asked = [c.value for c in _conditions() if c.key == f"current.{role}" and isinstance(c.value, tuple)]
    named = dict.fromkeys(str(name) for names in asked if isinstance(names, tuple) for name in names)
    filling = sorted(name for name, tool in FACTS.tools.items() if role in (*tool.roles, *tool.parts))
    by_status = {str(FACTS.tools[name].status.value): name for name in filling}
    return list(dict.fromkeys([*named, *by_status.values()]))


def all_domains() -> Domains:
    matter = keys_that_matter(FACTS) | {f"current.{role}" for role in ROLES}
    return {key: values_of(key) for key in FACTS.questions if key in matter}


def covering_rows(domains: Domains) -> list[Row]:
    """Rows in which every pair of values of two questions stands together at least once; the same ones every time."""
    left: set[Pair] = {
        ((one, a), (other, b))
        for one, other in combinations(domains, 2)
        for a in range(len(domains[one]))
        for b in range(len(domains[other]))
    }
    order = {key: place for place, key in enumerate(domains)}
    rows = []
    for pair in sorted(left):
        if pair in left:
            places = _filled(dict(pair), domains, order, left)
            left -= set(combinations(sorted(places.items(), key=lambda item: order[item[0]]), 2))
            rows.append({key: domains[key][place] for key, place in places.items()})
    return rows


def _filled(start: dict[str, int], domains: Domains, order: Mapping[str, int], left: set[Pair]) -> dict[str, int]:
    """Each question in turn gets the value that covers most pairs that are left with the values before."""
    row = dict(start)

    def fresh(key: str, value: int) -> int:
        here = (key, value)
        pairs = ((here, item) if order[key] < order[item[0]] else (item, here) for item in row.items())
        return sum(pair in left for pair in pairs)

    for key in domains:
        if key not in row:
            row[key] = max(range(len(domains[key])), key=lambda value: (fresh(key, value), -value))
    return row


def answered(row: Mapping[str, Value]) -> Answers:
    answers = parse_answers({}, FACTS)
    for key, value in row.items():
        answers = answers.changed(key, value)
    return answers


def faulty(rows: Sequence[Row], faults_of: FaultsOf) -> list[str]:
    """What is wrong with the decisions of the rows, each with the answers that bring it about."""
    found = []
    defaults = parse_answers({}, FACTS)
    for row in rows:
        answers = answered(row)
        faults = faults_of(decide(answers, FACTS, as_of=AS_OF), answers, FACTS)
        told = {key: value for key, value in row.items() if value != defaults[key]}
        found += [f"{fault} for {told}" for fault in faults[:3]]
    return found


def test_every_pair_of_answers_stands_in_some_row() -> None:
    """The covering itself: a row too few would leave a pair untried."""
    domains: Domains = {"a": [0, 1, 2], "b": [False, True], "c": ["x", "y", "z", "w"], "d": [(), ("m",)]}
    rows = covering_rows(domains)
    for one, other in combinations(domains, 2):
        pairs = {(row[one], row[other]) for row in rows}
        assert pairs == set(product(domains[one], domains[other]))
    assert len(rows) < prod(len(values) for values in domains.values()) / 2


def test_every_pair_of_answers_is_decided_soundly(faults_of: FaultsOf) -> None:
    rows = covering_rows(all_domains())
    assert len(rows) > 50
    assert faulty(rows, faults_of) == []


def test_rows_of_answers_give_the_same_bytes_twice() -> None:
    for row in covering_rows(all_domains())[::20]:
        documents = [decide(answered(row), facts, as_of=AS_OF).to_document() for facts in (FACTS, load_facts())]
        assert json.dumps(documents[0]) == json.dumps(documents[1])


def gate_domains(role: str) -> Domains:
    gates = [gate for gate in FACTS.gates if gate.role == role]
    keys = {condition.key for gate in gates for group in (gate.when, *gate.unless) for condition in group}
    return {key: values_of(key) for key in FACTS.questions if key in keys}


def role_domains(role: str) -> Domains:
    """What the role's own gates, rules and aspects look at, and the constraints."""
    keys = keys_of_role(role, FACTS) | set(CONSTRAINT_KEYS)
    return {key: values_of(key) for key in FACTS.questions if key in keys}


def combined(domains: Domains, most: int) -> list[Row]:
    """All combinations, or a seeded sample of `most` where there are more."""
    size = prod(len(values) for values in domains.values())
    if size <= most:
        return [dict(zip(domains, values, strict=True)) for values in product(*domains.values())]
    random = Random(SEED)
    return [{key: random.choice(values) for key, values in domains.items()} for _ in range(most)]


@pytest.mark.parametrize("role", GATED)
def test_what_opens_and_closes_a_role_is_decided_soundly(role: str, faults_of: FaultsOf) -> None:
    """Combinations of the answers that the role's gates look at."""
    assert faulty(combined(gate_domains(role), SAMPLED), faults_of) == []


@pytest.mark.slow
@pytest.mark.parametrize("role", GATED)
def test_all_that_opens_and_closes_a_role_is_decided_soundly(role: str, faults_of: FaultsOf) -> None:
    assert faulty(combined(gate_domains(role), MOST), faults_of) == []


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_all_that_a_role_looks_at_is_decided_soundly(role: str, faults_of: FaultsOf) -> None:
    """The whole product where it is small enough, else a sample of it."""
    assert faulty(combined(role_domains(role), OF_A_ROLE), faults_of) == []


@pytest.mark.slow
def test_pairs_of_answers_beside_the_defaults_are_decided_soundly(faults_of: FaultsOf) -> None:
    """A sample of all pairs, each by itself: what a covering row's other answers could hide."""
    domains = all_domains()
    rows = [{one: a, other: b} for one, other in combinations(domains, 2) for a in domains[one] for b in domains[other]]
    random = Random(SEED)
    assert faulty(random.sample(rows, PAIRS), faults_of) == []
