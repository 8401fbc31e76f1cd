"""Each p-value bounds the probability from above: checked against exact distributions, not simulations."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from stackproof.adapters.monitoring.calibration import LARGEST_FALSE_ALARM_SHARE
from stackproof.adapters.monitoring.evidence import (
    MISSING_RANK,
    g_p_value,
    g_statistic,
    gap_p_values,
    largest_gaps,
    share_limits,
    share_p_value,
)

LEVELS = (1e-3, 1e-5, 1e-7)


def _gap(window: list[float], reference: list[float]) -> float:
    ordered = np.sort(np.array(reference))
    below = np.searchsorted(ordered, window, side="left")
    upto = np.searchsorted(ordered, window, side="right")
    gaps, _ = largest_gaps(below[None, :], upto[None, :], np.array([len(ordered)]))
    return float(gaps[0])


numbers = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, float("inf"), float("-inf")]), min_size=1, max_size=30)


@given(window=numbers, reference=numbers)
@settings(max_examples=150, deadline=None)
def test_the_gap_is_the_largest_difference_of_the_two_distribution_functions_also_with_ties(
    window: list[float], reference: list[float]
) -> None:
    def share_up_to(sample: list[float], point: float) -> float:
        return sum(value <= point for value in sample) / len(sample)

    points = window + reference
    expected = max(abs(share_up_to(window, point) - share_up_to(reference, point)) for point in points)
    assert _gap(window, reference) == pytest.approx(expected, abs=1e-12)


def test_missing_values_take_no_part_in_the_gap() -> None:
    ranks = np.array([[1, MISSING_RANK, 3, MISSING_RANK]])
    with_missing = largest_gaps(ranks - (ranks != MISSING_RANK), ranks, np.array([4]))
    present = np.array([[1, 3]])
    without = largest_gaps(present - 1, present, np.array([4]))
    assert with_missing[0] == without[0]
    assert with_missing[1] == without[1] == 2


@pytest.mark.parametrize(
    ("rows", "reference_rows"), [(10, 10), (25, 40), (50, 50), (25, 1000), (100, 300), (60, 61), (7, 900)]
)
def test_the_gaps_p_value_is_at_least_the_exact_one_of_two_continuous_samples(rows: int, reference_rows: int) -> None:
    """At the levels that a plan can ask for; near 0.3 the inequality is off by a few parts in a thousand."""
    checked = 0
    for shifted in range(rows // 5, rows + 1):
        # The window's first rows lie below the whole reference, the others spread as the reference does.
        rest = np.linspace(shifted / rows, 1, rows - shifted) - 1e-9
        window = np.concatenate([np.full(shifted, -1.0), rest])
        exact = stats.ks_2samp(window, np.linspace(0, 1, reference_rows), method="exact")
        gap, counts = np.array([exact.statistic]), (np.array([rows]), np.array([reference_rows]))
        if exact.pvalue <= LARGEST_FALSE_ALARM_SHARE:
            assert gap_p_values(gap, *counts)[0] >= exact.pvalue
            checked += 1
    assert checked > 2


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("share", "rows", "reference_rows"), [(0.01, 60, 90), (0.3, 40, 40), (0.5, 25, 500)])
def test_two_samples_with_the_same_share_are_rejected_at_most_as_often_as_the_level_says(
    level: float, share: float, rows: int, reference_rows: int
) -> None:
    in_window = stats.binom.pmf(np.arange(rows + 1), rows, share)
    in_reference = stats.binom.pmf(np.arange(reference_rows + 1), reference_rows, share)
    rejected = 0.0
    for reference_seen in np.flatnonzero(in_reference > level * 1e-6).tolist():
        fewest, most = share_limits(rows, reference_seen, reference_rows, level)
        well = in_window[fewest : most + 1].sum()
        rejected += in_reference[reference_seen] * max(0.0, 1.0 - well)
    assert rejected <= level


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("seen", "reference_rows"), [(0, 200), (1, 200), (60, 200), (100, 100_000)])
@pytest.mark.parametrize("rows", [25, 400])
def test_rows_drawn_from_the_reference_itself_are_rejected_at_most_as_often_as_the_level_says(
    level: float, seen: int, reference_rows: int, rows: int
) -> None:
    fewest, most = share_limits(rows, seen, reference_rows, level)
    share = seen / reference_rows
    rejected = stats.binom.cdf(fewest - 1, rows, share) + stats.binom.sf(most, rows, share)
    assert rejected <= level


@given(
    rows=st.integers(1, 60),
    reference_rows=st.integers(1, 200),
    part=st.floats(0, 1),
    level=st.sampled_from([0.05, 1e-3, 1e-6]),
)
@settings(max_examples=40, deadline=None)
def test_a_share_is_within_its_limits_exactly_when_its_p_value_reaches_the_level(
    rows: int, reference_rows: int, part: float, level: float
) -> None:
    reference_seen = round(part * reference_rows)
    fewest, most = share_limits(rows, reference_seen, reference_rows, level)
    for seen in range(rows + 1):
        is_well = share_p_value(seen, rows, reference_seen, reference_rows) >= level
        assert (fewest <= seen <= most) == is_well


def test_a_share_without_rows_is_no_evidence() -> None:
    assert share_p_value(0, 0, 3, 10) == share_p_value(2, 5, 0, 0) == 1.0


def _exact_tails(expected: list[float], levels: tuple[float, ...]) -> dict[float, float]:
    """The probability that the test rejects, by convolution over the values; the statistic is rounded up."""
    shares, rows = np.array(expected) / sum(expected), round(sum(expected))
    reference = np.round(shares * 1e9).astype(np.int64)
    step, highest = 0.05, 2.2 * stats.chi2.isf(min(levels), len(expected) - 1) + 20
    bins = int(highest / step)
    probability = np.zeros((rows + 1, bins + 1))
    probability[0, 0] = 1.0
    for mean in expected:
        added = np.zeros_like(probability)
        for count in range(rows + 1):
            chance = stats.poisson.pmf(count, mean)
            part = 2 * (special.xlogy(count, count / mean) - (count - mean))
            if chance < 1e-16:
                continue
            jump = min(int(np.floor(part / step)), bins)
            added[count:, jump:] += chance * probability[: rows + 1 - count, : bins + 1 - jump]
            added[count:, bins] += chance * probability[: rows + 1 - count, bins + 1 - jump :].sum(axis=1)
        probability = added
    tail = probability[rows] / probability[rows].sum()
    # The statistic of the counts as expected has the correction in it: its ratio to the plain one is constant.
    counts = np.zeros(len(expected), dtype=np.int64)
    counts[0] = rows
    plain = 2 * rows * np.log(1 / shares[0])
    correction = plain / g_statistic(counts, reference)
    statistics = (np.arange(bins + 1) + len(expected)) * step / correction
    rejected = np.array([g_p_value(statistic, len(expected)) for statistic in statistics])
    return {level: float(tail[rejected < level].sum()) for level in levels}


@pytest.mark.parametrize(
    "expected", [[5.0] * 3, [5.0] * 5, [5.0, 5, 40], [8.0, 8, 9], [5.0, 10, 35], [16.0, 17, 17]], ids=str
)
def test_the_g_tests_exact_rejection_probability_is_at_most_the_level(expected: list[float]) -> None:
    for level, probability in _exact_tails(expected, LEVELS).items():
        assert probability <= level
        assert probability > 0 or level < LEVELS[0]


@pytest.mark.slow
@pytest.mark.parametrize("expected", [[5.0] * 10, [5.0] * 20, [10.0] * 10, [5.0] * 4 + [380.0]], ids=str)
def test_the_g_tests_exact_rejection_probability_is_at_most_the_level_with_many_values(
    expected: list[float],
) -> None:
    for level, probability in _exact_tails(expected, LEVELS).items():
        assert 0 < probability <= level


def test_g_is_zero_for_equal_shares_and_grows_with_the_difference() -> None:
    reference = np.array([600, 300, 100])
    statistics = [
        g_statistic(np.array(counts), reference) for counts in ([60, 30, 10], [55, 30, 15], [40, 30, 30], [0, 0, 100])
    ]
    assert statistics[0] == pytest.approx(0, abs=1e-9)
    assert all(less < more for less, more in pairwise(statistics))


def test_g_agrees_with_scipy_where_the_correction_is_small() -> None:
    window, reference = np.array([520, 310, 170]), np.array([60_000, 30_000, 10_000])
    expected = stats.chi2_contingency([window, reference], lambda_="log-likelihood", correction=False).statistic
    assert g_statistic(window, reference) == pytest.approx(expected, rel=0.01)


def test_g_of_an_empty_sample_is_zero() -> None:
    assert g_statistic(np.array([0, 0, 0]), np.array([5, 5, 5])) == 0
    assert g_statistic(np.array([1, 2, 3]), np.array([0, 0, 0])) == 0
