"""The interview: what it asks, in which order, and that what it leaves out changes nothing."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.decide import Answers, parse_answers
from stackproof.decide.choice import choose_all
from stackproof.facts import Facts, load_facts
from stackproof.usecases.asking import START, Interview, differences, outcome
from stackproof.usecases.decide import given_answers

OPEN = (
    "use_case.workloads", "use_case.llm", "use_case.rag", "needs.automl", "needs.hyperparameter_search",
    "infrastructure.kubernetes", "readiness.trace",
)  # fmt: skip


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


def almost_all(facts: Facts, left_out: tuple[str, ...] = OPEN, **changes: dict[str, Any]) -> Answers:
    """Every assumption as an answer, also that there is no priority, but for those left out."""
    answers = parse_answers(changes, facts)
    return Answers(answers.values, frozenset(facts.questions) - set(left_out))


def test_nothing_is_asked_where_everything_is_answered(facts: Facts) -> None:
    assert Interview(facts, almost_all(facts, ())).next_question() is None


def test_a_question_that_is_asked_has_an_answer_that_moves_what_it_says(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts))
    asked = interview.next_question()
    assert asked is not None
    effect = asked.effects[0]
    assert interview.answer(asked.question.key, effect.value) == effect.moves == interview.moved()
    now = outcome(interview.answers, facts)
    assert {move.what: now[move.what] for move in effect.moves} == {move.what: move.after for move in effect.moves}


def test_the_question_that_moves_most_roles_comes_first(facts: Facts) -> None:
    """Of a question that moves two roles and one that moves a single one."""
    interview = Interview(facts, almost_all(facts, ("needs.automl", "use_case.llm")))
    asked = interview.next_question()
    assert asked is not None
    assert asked.question.key == "use_case.llm"
    assert set(asked.roles) >= {"serving", "monitoring"}


def test_the_readiness_question_to_start_with_counts_as_part_of_the_result(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts, ("readiness.reproduce",)))
    asked = interview.next_question()
    assert asked is not None
    assert asked.roles == (START,)


def test_a_question_left_open_is_not_asked_again_and_stays_an_assumption(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts))
    asked = interview.next_question()
    assert asked is not None
    assert interview.leave_open(asked.question.key) == ()
    assert asked.question.key not in interview.answers.given
    following = interview.next_question()
    assert following is not None
    assert following.question.key != asked.question.key


def test_back_restores_the_answers_and_asks_the_same_question(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts))
    before = interview.answers
    asked = interview.next_question()
    assert asked is not None
    moves = interview.answer(asked.question.key, asked.effects[0].value)
    assert interview.back() == asked.question.key
    assert interview.answers == before
    assert {(move.what, move.after, move.before) for move in moves} == {
        (move.what, move.before, move.after) for move in interview.moved()
    }
    again = interview.next_question()
    assert again is not None
    assert again.question.key == asked.question.key
    assert Interview(facts).back() is None


def test_what_contradicts_an_open_question_is_settled_by_asking_it(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts, ("use_case.llm",), use_case={"rag": True}))
    asked = interview.next_question()
    assert asked is not None
    assert asked.question.key == "use_case.llm"
    assert asked.settles is not None
    assert asked.settles.id == "rag-without-llm"
    interview.answer("use_case.llm", "api")
    assert interview.contradictions() == ()


def test_a_contradiction_that_was_accepted_is_not_told_again(facts: Facts) -> None:
    interview = Interview(facts, almost_all(facts, (), use_case={"rag": True}))
    (found,) = interview.contradictions()
    interview.accept(found)
    assert interview.contradictions() == ()


def test_the_same_interview_asks_the_same_questions(facts: Facts) -> None:
    def questions() -> list[str]:
        interview, found = Interview(facts, almost_all(facts)), []
        while asked := interview.next_question():
            found.append(asked.question.key)
            interview.leave_open(asked.question.key)
        return found

    assert questions() == questions()


def finish(interview: Interview, choose: Callable[[list[Any]], Any]) -> None:
    """Answer each question with one of the values that were tried, or leave it open."""
    while asked := interview.next_question():
        value = choose([None, asked.value, *(effect.value for effect in asked.effects)])
        if value is None:
            interview.leave_open(asked.question.key)
        else:
            interview.answer(asked.question.key, value)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_however_it_is_answered_what_was_never_asked_changes_nothing(facts: Facts, seed: int) -> None:
    chance = random.Random(seed)
    interview = Interview(facts, almost_all(facts))
    finish(interview, chance.choice)
    now = outcome(interview.answers, facts)
    for key in set(interview.left_out) & set(OPEN):
        for value in interview.worth_trying(key):
            other = outcome(interview.answers.changed(key, value), facts)
            assert differences(now, other) == (), (key, value)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(OPEN), data=st.data())
def test_answers_in_any_order_decide_as_the_file_of_these_answers_does(facts: Facts, order: Any, data: Any) -> None:
    interview = Interview(facts, almost_all(facts))
    for key in order:
        values = interview.worth_trying(key)
        interview.answer(key, data.draw(st.sampled_from([interview.answers[key], *values])))
        if data.draw(st.booleans()):
            interview.back()
            interview.answer(key, data.draw(st.sampled_from(values)))
    from_file = parse_answers(given_answers(interview.answers), facts)
    assert choose_all(from_file, facts) == choose_all(interview.answers, facts)


@pytest.mark.slow
def test_of_a_team_of_which_nothing_is_known_no_single_question_left_out_changes_anything(facts: Facts) -> None:
    interview = Interview(facts)
    while asked := interview.next_question():
        interview.leave_open(asked.question.key)
    now = outcome(interview.answers, facts)
    for key in set(interview.left_out) & set(interview.keys):
        for value in interview.worth_trying(key):
            assert differences(now, outcome(interview.answers.changed(key, value), facts)) == (), (key, value)


@pytest.mark.slow
def test_a_question_that_moves_something_only_with_others_is_asked_and_names_them(facts: Facts) -> None:
    interview = Interview(facts)
    while asked := interview.next_question():
        if not asked.effects:
            found = interview.together(asked.question.key)
            if found is not None:
                break
        interview.leave_open(asked.question.key)
    else:
        pytest.fail("every question moved something by itself")
    there = interview.answers
    for key, value in found.others.items():
        there = there.changed(key, value)
    before, after = outcome(there, facts), outcome(there.changed(asked.question.key, found.value), facts)
    assert differences(before, after) == found.moves != ()
    assert found.others
