"""The policy's bound on false alarms holds, on streams whose truth is known because we drew them."""

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stackproof.adapters.monitoring.calibration import plan_of, window_sizes
from stackproof.errors import RefusedInput
from stackproof.roles.monitoring import ColumnKind, Finding, Policy

Draw = Callable[[int, int], pl.DataFrame]
Observe = Callable[..., list[Finding]]

UNLIKELY = 1e-3
LOOSE = Policy(false_alarms_per_million=4000.0)
"""Loose enough that false alarms can be counted."""


def _is_within(alarms: int, predictions: int, policy: Policy) -> bool:
    """Whether so many alarms are compatible with the bound, by the exact one-sided Poisson test."""
    allowed = policy.false_alarms_per_million * predictions / 1e6
    return float(stats.poisson.sf(alarms - 1, allowed)) > UNLIKELY


@pytest.mark.parametrize("reference_rows", [200, 1000, 20_000])
def test_streams_drawn_from_the_reference_keep_the_bound(draw: Draw, observe: Observe, reference_rows: int) -> None:
    reference = draw(reference_rows, 1)
    stream = reference.sample(10_000, with_replacement=True, seed=2)
    assert _is_within(len(observe(reference, stream, LOOSE)), stream.height, LOOSE)


def test_new_streams_from_the_source_of_the_reference_keep_the_bound(draw: Draw, observe: Observe) -> None:
    alarms = sum(len(observe(draw(1000, seed), draw(1500, 100 + seed), LOOSE)) for seed in range(6))
    assert _is_within(alarms, 9000, LOOSE)


@pytest.mark.parametrize("is_from_reference", [True, False], ids=["from the reference", "new"])
def test_choosing_the_common_values_on_the_reference_does_not_bias_their_test(
    draw: Draw, observe: Observe, is_from_reference: bool
) -> None:
    """With a hundred even values, those that a small reference calls common are so by luck."""
    alarms, rows, repeats, policy = 0, 1000, 24, Policy(false_alarms_per_million=200.0)
    for seed in range(repeats):
        reference = draw(1000, seed).select("hundred_even")
        new = draw(rows, 500 + seed).select("hundred_even")
        stream = reference.sample(rows, with_replacement=True, seed=seed) if is_from_reference else new
        alarms += len(observe(reference, stream, policy))
    assert _is_within(alarms, repeats * rows, policy)


def test_the_default_policy_is_silent_on_twenty_thousand_predictions(draw: Draw, observe: Observe) -> None:
    reference = draw(5000, 3)
    assert observe(reference, reference.sample(20_000, with_replacement=True, seed=4)) == []


def test_streams_from_another_source_do_not_keep_it(draw: Draw, observe: Observe) -> None:
    """So that the tests above could fail."""
    reference = draw(1000, 1).with_columns(pl.col("continuous") * 2, pl.col("tied") + 2, five_even=pl.lit("0"))
    alarms = sum(len(observe(reference, draw(100, seed), LOOSE)) for seed in range(10))
    assert not _is_within(alarms, 1000, LOOSE)


@pytest.mark.slow
@pytest.mark.parametrize("reference_rows", [200, 1000, 20_000])
@pytest.mark.parametrize("is_from_reference", [True, False], ids=["from the reference", "new"])
@pytest.mark.parametrize("policy", [Policy(1000.0), Policy(4000.0, window=100, every=10)], ids=["wide", "narrow"])
def test_many_streams_keep_the_bound(
    draw: Draw, observe: Observe, reference_rows: int, is_from_reference: bool, policy: Policy
) -> None:
    alarms, repeats, rows = 0, 25, 3000
    for seed in range(repeats):
        reference = draw(reference_rows, seed)
        stream = (
            reference.sample(rows, with_replacement=True, seed=seed) if is_from_reference else draw(rows, 10_000 + seed)
        )
        alarms += len(observe(reference, stream, policy))
    assert _is_within(alarms, repeats * rows, policy)


policies = st.builds(
    Policy,
    false_alarms_per_million=st.floats(1e-3, 1e6),
    window=st.integers(1, 10_000),
    every=st.integers(1, 2000),
)


@given(policy=policies, numeric=st.integers(0, 40), categorical=st.integers(0, 40))
def test_the_thresholds_of_all_tests_in_a_million_predictions_add_up_to_at_most_the_bound(
    policy: Policy, numeric: int, categorical: int
) -> None:
    columns = {f"n{place}": ColumnKind.NUMERIC for place in range(numeric)}
    columns |= {f"c{place}": ColumnKind.CATEGORICAL for place in range(categorical)} or {"one": ColumnKind.NUMERIC}
    plan = plan_of(policy, columns)
    numeric_columns = sum(kind is ColumnKind.NUMERIC for kind in columns.values())
    tests_in_a_look = (2 * numeric_columns + 3 * (len(columns) - numeric_columns)) * len(plan.sizes)
    total = 1e6 / policy.every * tests_in_a_look * plan.threshold
    assert 0 < total <= policy.false_alarms_per_million * (1 + 1e-9)


@given(policy=policies)
def test_windows_are_nested_and_begin_with_the_policys(policy: Policy) -> None:
    sizes = window_sizes(policy)
    assert sizes[0] == policy.window
    assert list(sizes) == sorted(set(sizes), reverse=True)
    assert all(size >= 25 for size in sizes[1:])


def test_the_default_policy_looks_at_five_windows() -> None:
    assert window_sizes(Policy()) == (400, 200, 100, 50, 25)


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (Policy(window=0), "window is 0"),
        (Policy(every=-1), "every is -1"),
        (Policy(false_alarms_per_million=0.0), "false_alarms_per_million is 0.0"),
        (Policy(false_alarms_per_million=float("nan")), "false_alarms_per_million is nan"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_with_its_fault(policy: Policy, fault: str) -> None:
    with pytest.raises(RefusedInput, match=fault):
        plan_of(policy, {"x": ColumnKind.NUMERIC})
