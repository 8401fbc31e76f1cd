"""Medians, percentiles, and how sure a median is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, floor
from statistics import median

WANTED = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """`low` <= `middle` <= `high`. `confidence`: how often such an interval holds the true median."""

    low: float
    middle: float
    high: float
    confidence: float

    def overlaps(self, other: "Interval") -> bool:
        return self.low <= other.high and other.low <= self.high


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which the share (0 to 1) of the values lies, linear between neighbours. `values` is not empty."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    # Between equal neighbours the sum of parts could differ from both by rounding.
    if ordered[below] == ordered[above]:
        return ordered[below]
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def median_interval(values: Sequence[float], wanted: float = WANTED) -> Interval:
    """The median of the values, and the narrowest pair of them that holds the true median with that confidence.

    It assumes nothing about how they are distributed: the k-th smallest and the k-th largest of n values hold the
    median with the probability 1 - 2 * sum(C(n, i) for i < k) / 2**n (sign test). Few values can't reach what is
    wanted; then it is their whole range, and `confidence` says what that is worth. `values` is not empty.
    """
    ordered = sorted(values)
    inwards = 1
    while 2 * (inwards + 1) <= len(ordered) and _coverage(len(ordered), inwards + 1) >= wanted:
        inwards += 1
    low, high = ordered[inwards - 1], ordered[-inwards]
    return Interval(low, min(max(median(ordered), low), high), high, _coverage(len(ordered), inwards))


def _coverage(count: int, inwards: int) -> float:
    """How often the `inwards`-th smallest and largest of `count` values hold the median."""
    outside = sum(comb(count, i) for i in range(inwards))
    return max(0.0, 1 - 2 * (outside / (1 << count)))
