"""One look: every test of every column on one window."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from stackproof.adapters.monitoring.evidence import (
    Ranks,
    g_p_value,
    g_statistic,
    gap_p_values,
    largest_gaps,
    share_limits,
    share_p_value,
)
from stackproof.adapters.monitoring.reference import CategoricalReference, Encoded, Reference


class Test(StrEnum):
    """The names of the tests as a finding shows them."""

    __test__ = False  # pytest would take it for a test class

    DISTRIBUTION = "Kolmogorov-Smirnov"
    COMMON_VALUES = "G test of the common values"
    TWO_VALUES = "exact test of two values' shares"
    OTHER_VALUES = "exact test of the share of rare and unseen values"
    MISSING = "exact test of the missing share"


Evidence: TypeAlias = tuple[float, float]
"""A statistic and its p-value."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A test whose p-value is below the threshold, on the latest `rows` rows.

    `place`: the column's place among those of its kind, numeric or not.
    """

    test: Test
    is_numeric: bool
    place: int
    rows: int
    statistic: float
    p_value: float


def breaches(reference: Reference, window: Encoded, threshold: float) -> Iterator[Breach]:
    """Every test of the window that finds a difference."""
    yield from _of_distributions(reference, window, threshold)
    present = np.count_nonzero(~np.isnan(window.rows.numbers), axis=1)
    for place, column in enumerate(reference.numeric):
        missing = window.rows.count - int(present[place])
        breach = _of_share(missing, window.rows.count, column.missing, reference.rows, threshold)
        if breach is not None:
            yield Breach(Test.MISSING, True, place, window.rows.count, *breach)
    for place, category in enumerate(reference.categorical):
        counts = np.bincount(window.codes[place], minlength=category.missing_code + 1)
        for test, evidence in _of_category(category, counts, reference.rows, threshold):
            yield Breach(test, False, place, window.rows.count, *evidence)


def _of_distributions(reference: Reference, window: Encoded, threshold: float) -> Iterator[Breach]:
    reference_rows = np.array([len(column.values) for column in reference.numeric], dtype=np.int64)
    gaps, present = largest_gaps(window.below, window.upto, reference_rows)
    p_values = gap_p_values(gaps, present, reference_rows)
    for place in np.flatnonzero(p_values < threshold).tolist():
        yield Breach(Test.DISTRIBUTION, True, place, window.rows.count, float(gaps[place]), float(p_values[place]))


def _of_category(
    category: CategoricalReference, counts: Ranks, reference_rows: int, threshold: float
) -> Iterator[tuple[Test, Evidence]]:
    """A factorisation of the whole: missing or not; if not, common or not; if common, which value.

    What the first half of the reference called common is compared with the second half, so that the
    choice does not bias new rows; and what is found must hold against all of the reference as well,
    so that it does not bias rows drawn from the reference itself. The larger p-value counts.
    """
    missing = _of_share(int(counts[-1]), int(counts.sum()), sum(category.missing), reference_rows, threshold)
    if missing is not None:
        yield Test.MISSING, missing
    common, present = category.common(int(counts.sum())), counts[:-1]
    by_half = dict(_of_values(present, category.counts, common, threshold))
    by_all = dict(_of_values(present, category.all_counts, common, threshold)) if by_half else {}
    for test, evidence in by_half.items():
        if test in by_all:
            yield test, max(evidence, by_all[test], key=lambda pair: pair[1])


def _of_values(
    present: Ranks, reference_counts: Ranks, common: int, threshold: float
) -> Iterator[tuple[Test, Evidence]]:
    """`present` has one place more than the reference: that of the unseen values."""
    seen, reference_seen = present[:common], reference_counts[:common]
    rows, reference_rows = int(seen.sum()), int(reference_seen.sum())
    others, reference_others = int(present[common:].sum()), int(reference_counts[common:].sum())
    evidence = _of_share(others, rows + others, reference_others, reference_rows + reference_others, threshold)
    if evidence is not None:
        yield Test.OTHER_VALUES, evidence
    if common == 2:  # with two values the exact test of one share is the test of both
        evidence = _of_share(int(seen[0]), rows, int(reference_seen[0]), reference_rows, threshold)
        if evidence is not None:
            yield Test.TWO_VALUES, evidence
    if common > 2:
        statistic = g_statistic(seen, reference_seen)
        p_value = g_p_value(statistic, common)
        if p_value < threshold:
            yield Test.COMMON_VALUES, (statistic, p_value)


def _of_share(seen: int, rows: int, reference_seen: int, reference_rows: int, threshold: float) -> Evidence | None:
    fewest, most = share_limits(rows, reference_seen, reference_rows, threshold)
    if fewest <= seen <= most:
        return None
    return seen / rows, share_p_value(seen, rows, reference_seen, reference_rows)
