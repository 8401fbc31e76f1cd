"""Answers are checked whole: every fault is named with its key, what was given and what is allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.decide import parse_answers
from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts

FACTS = load_facts()


def faults_of(document: dict[str, Any], facts: Facts = FACTS) -> tuple[str, ...]:
    with pytest.raises(RefusedInput) as refused:
        parse_answers(document, facts, source="team.toml")
    return refused.value.faults


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"organisation": {}}, "organisation: unknown section; did you mean 'organization'?"),
        ({"organization": {"peple": 3}}, "organization.peple: unknown key; did you mean 'organization.people'?"),
        ({"organization": {"people": "many"}}, "organization.people: got 'many'. Allowed: a whole number, at least 1"),
        ({"organization": {"people": 0}}, "organization.people: got 0. Allowed: a whole number, at least 1"),
        ({"organization": {"people": True}}, "organization.people: got True. Allowed: a whole number"),
        ({"organization": {"budget_usd_per_year": -1}}, "got -1. Allowed: a whole number, at least 0"),
        ({"organization": {"engineer_usd_per_hour": float("nan")}}, "got nan. Allowed: a number"),
        ({"infrastructure": {"kubernetes": "avalable"}}, "got 'avalable'; did you mean 'available'?"),
        ({"infrastructure": {"edge": "yes"}}, "infrastructure.edge: got 'yes'. Allowed: true, false"),
        ({"use_case": {"workloads": "batch"}}, "got 'batch'. Allowed: a list of any of realtime, batch, streaming"),
        ({"use_case": {"workloads": ["bath"]}}, "got 'bath'; did you mean 'batch'?"),
        ({"current": {"tracking": "mlfow"}}, "current.tracking: got 'mlfow'; did you mean 'mlflow'?"),
        ({"priorities": {"tracking": "speed"}}, "Allowed: open-source, collaboration"),
        ({"weights": {"cost": 11}}, "weights.cost: got 11. Allowed: a number from 0 to 10"),
        ({"needs": 3}, "needs: got 3. Allowed: a table, [needs]"),
    ],
)
def test_a_fault_names_the_file_the_key_what_was_given_and_what_is_allowed(document: dict[str, Any], said: str) -> None:
    (fault,) = faults_of(document)
    assert fault.startswith("team.toml: ")
    assert said in fault


def test_all_faults_are_told_together() -> None:
    document = {"organization": {"people": -1, "size": 2}, "need": {}, "infrastructure": {"cloud": "ovh"}}
    assert len(faults_of(document)) == 4


def test_what_is_left_out_is_assumed_and_what_is_given_is_not() -> None:
    answers = parse_answers({"organization": {"people": 70}}, FACTS)
    assert answers["organization.people"] == 70
    assert answers["organization.data_scientists"] == 1
    assert answers.given == {"organization.people"}


def test_answers_written_out_are_read_back_the_same() -> None:
    document = {
        "use_case": {"workloads": ["realtime", "batch"]},
        "weights": {"cost": 8},
        "current": {"tracking": "wandb"},
    }
    answers = parse_answers(document, FACTS)
    again = parse_answers(answers.to_document(), FACTS)
    assert again.values == answers.values
    assert again.weights == answers.weights


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def refusal(document: dict[str, Any]) -> tuple[str, ...] | None:
    """The faults, None when the document is read."""
    try:
        parse_answers(document, FACTS)
    except RefusedInput as refused:
        return refused.faults
    return None


@given(st.dictionaries(st.sampled_from(["organization", "needs", "weights", "x"]), junk, max_size=3))
def test_any_document_is_read_or_refused_with_reasons(document: dict[str, Any]) -> None:
    assert refusal(document) != ()


@given(st.sampled_from(sorted(FACTS.questions)), junk)
def test_any_value_of_any_key_is_read_or_refused_with_reasons(key: str, value: object) -> None:
    section, _, name = key.partition(".")
    found = refusal({section: {name: value}})
    assert found is None or found[0].startswith(f"answers.toml: {key}: got ")
