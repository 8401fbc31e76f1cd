"""Scores: fixed scales, what is not known stays unknown, dated ratings go before undated ones."""

import datetime
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.decide import Answers, decide, parse_answers
from stackproof.decide.decision import CriterionScore
from stackproof.decide.scoring import stated_ratings, total, weigh
from stackproof.errors import RefusedInput
from stackproof.facts import Facts
from stackproof.facts.model import Rating

AS_OF = datetime.date(2026, 11, 21)
SOURCE = "tests"
Answered = Callable[..., Answers]


def part(weight: float, low: float, high: float) -> CriterionScore:
    return CriterionScore("one", "One", weight, "", (low, high), "", SOURCE)


ratings = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
parts = st.lists(st.builds(lambda weight, r: part(weight, r[0], r[1]), st.floats(0.01, 10), ratings), min_size=1)


@given(parts, st.floats(0, 1))
def test_the_score_lies_in_its_interval_and_that_between_the_worst_and_the_best_rating(
    scores: list[CriterionScore], caution: float
) -> None:
    score, (low, high) = total(scores, caution)
    near = 1e-5
    assert min(one.rating[0] for one in scores) - near <= low <= score + near
    assert score - near <= high <= max(one.rating[1] for one in scores) + near


@given(parts, st.floats(0.1, 5))
def test_only_the_proportions_of_weights_count(scores: list[CriterionScore], factor: float) -> None:
    scaled = [replace(one, weight=one.weight * factor) for one in scores]
    assert total(scaled, 0.4)[0] == pytest.approx(total(scores, 0.4)[0], abs=1e-5)


@given(parts)
def test_what_is_not_known_lowers_the_score_less_than_the_worst_rating_and_widens_the_interval(
    scores: list[CriterionScore],
) -> None:
    score, (low, high) = total([*scores, part(5, 0, 1)], 0.4)
    worst, _ = total([*scores, part(5, 0, 0)], 0.4)
    _, (known_low, known_high) = total([*scores, part(5, 0.5, 0.5)], 0.4)
    assert worst <= score + 1e-5
    assert high - low >= known_high - known_low - 1e-5


def test_nothing_known_is_below_the_middle() -> None:
    assert total([part(1, 0, 1)], 0.4) == (0.4, (0.0, 1.0))


def rating(value: str, date: datetime.date | None = None, role: str = "", confidence: str = "high") -> Rating:
    return Rating("collaboration", value, SOURCE, date, confidence, role)


def test_a_dated_rating_overtakes_undated_ones_and_a_newer_an_older(facts: Facts) -> None:
    old, new = datetime.date(2025, 1, 1), datetime.date(2026, 1, 1)
    tool = replace(facts.tools["mlflow"], ratings=(rating("basic"), rating("good", old), rating("excellent", new)))
    assert [one.value for one in stated_ratings(tool, "collaboration", "tracking")] == ["excellent"]


def test_what_is_not_verified_or_of_another_role_rates_nothing(facts: Facts) -> None:
    other = (rating("excellent", confidence="not_verified"), rating("excellent", role="serving"))
    tool = replace(facts.tools["mlflow"], ratings=other)
    assert stated_ratings(tool, "collaboration", "tracking") == []


def test_documents_that_disagree_span_an_interval_and_are_named_as_a_conflict(facts: Facts) -> None:
    tool = replace(facts.tools["mlflow"], ratings=(rating("basic"), rating("excellent")))
    changed = replace(facts, tools={**facts.tools, "mlflow": tool})
    decision = decide(parse_answers({}, changed), changed, as_of=AS_OF)
    (scored,) = [one for one in decision.roles["tracking"].rankings[0].tools if one.tool == "mlflow"]
    (found,) = [one for one in scored.criteria if one.id == "collaboration"]
    assert found.rating == (0.3, 1.0)
    assert found.word == "basic to excellent"
    assert any("rated differently on collaboration" in one.text for one in decision.conflicts)


def test_weights_follow_from_the_answers_and_say_which(facts: Facts, answered: Answered) -> None:
    poor, rich = (
        {one.criterion.id: one for one in weigh("tracking", "", answered(organization=of), facts)}
        for of in ({"budget_usd_per_year": 0}, {"budget_usd_per_year": 50000})
    )
    assert poor["cost"].weight > rich["cost"].weight
    assert poor["cost"].because
    assert rich["cost"].because == ""


def test_your_own_weight_goes_before_all_others_and_zero_leaves_the_criterion_out(
    facts: Facts, answered: Answered
) -> None:
    weighted = {one.criterion.id: one for one in weigh("tracking", "", answered(weights={"cost": 8}), facts)}
    assert (weighted["cost"].weight, weighted["cost"].because) == (8, "you set it")
    without = weigh("tracking", "", answered(weights={"cost": 0}), facts)
    assert "cost" not in {one.criterion.id for one in without}


def test_a_weight_of_no_criterion_is_refused_with_what_was_meant(answered: Answered) -> None:
    with pytest.raises(RefusedInput) as refused:
        answered(weights={"colaboration": 3, "cost": 11})
    said = "\n".join(refused.value.faults)
    assert "did you mean 'weights.collaboration'?" in said
    assert "weights.cost: got 11" in said


def test_all_weights_at_zero_still_decide(answered: Answered, facts: Facts) -> None:
    none = {criterion.id: 0 for criterion in facts.criteria}
    decision = decide(answered(weights=none), facts, as_of=AS_OF, sensitivity=True)
    assert decision.complete
    assert decision.roles["tracking"].interval == (0.0, 1.0)
