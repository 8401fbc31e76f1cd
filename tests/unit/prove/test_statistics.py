"""Percentiles, medians and intervals are what they claim to be, for any values."""

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.prove.monitoring import improbable
from stackproof.prove.statistics import Interval, median_interval, percentile

numbers = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60)


@given(numbers, st.floats(0, 1))
def test_a_percentile_lies_between_the_smallest_and_the_largest(values: list[float], share: float) -> None:
    assert min(values) <= percentile(values, share) <= max(values)


@given(numbers, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_is_no_smaller_a_percentile(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert percentile(values, low) <= percentile(values, high) + 1e-6


@given(numbers)
def test_the_ends_are_the_extremes_and_the_middle_is_the_median(values: list[float]) -> None:
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)
    assert percentile(values, 0.5) == pytest.approx(median(values))


@given(numbers)
def test_an_interval_holds_the_median_of_the_values_and_its_ends_are_values(values: list[float]) -> None:
    found = median_interval(values)
    assert found.low <= found.middle <= found.high
    assert found.middle == pytest.approx(median(values))
    assert {found.low, found.high} <= set(values)


@given(numbers, st.randoms())
def test_the_order_of_the_values_does_not_matter(values: list[float], chance: random.Random) -> None:
    mixed = list(values)
    chance.shuffle(mixed)
    assert median_interval(mixed) == median_interval(values)


@pytest.mark.parametrize(
    ("count", "confidence"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375), (6, 0.96875), (9, 0.9609375)]
)
def test_the_confidence_is_that_of_the_sign_test(count: int, confidence: float) -> None:
    assert median_interval([float(n) for n in range(count)]).confidence == confidence


def test_many_values_give_a_narrower_interval_than_their_range() -> None:
    found = median_interval([float(n) for n in range(21)])
    assert (found.low, found.middle, found.high) == (5.0, 10.0, 15.0)
    assert found.confidence >= 0.95


def test_an_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """2,000 times five values of an exponential law, whose median is ln 2; 93.75 % promised, +- 3 standard errors."""
    chance = random.Random(4)
    intervals = [median_interval([chance.expovariate(1) for _ in range(5)]) for _ in range(2_000)]
    holding = sum(one.low <= 0.6931471805599453 <= one.high for one in intervals) / len(intervals)
    assert abs(holding - 0.9375) < 3 * (0.9375 * 0.0625 / 2_000) ** 0.5


@given(st.floats(0, 50))
def test_so_many_alarms_are_improbable_and_one_less_is_not(expected: float) -> None:
    from scipy.stats import poisson

    count = improbable(expected)
    assert poisson.sf(count - 1, expected) < 1.01e-6
    assert count == 0 or poisson.sf(count - 2, expected) >= 0.99e-6


def test_intervals_overlap_where_they_share_a_point() -> None:
    one, other = Interval(1, 2, 3, 0.75), Interval(3, 4, 5, 0.75)
    assert one.overlaps(other)
    assert other.overlaps(one)
    assert not one.overlaps(Interval(3.1, 4, 5, 0.75))
