"""The p-values. Each is an upper bound for the probability of what was seen when nothing has changed."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Floats: TypeAlias = NDArray[np.float64]
Ranks: TypeAlias = NDArray[np.int64]

MISSING_RANK = np.iinfo(np.int64).max
POINTS_AT_ONCE = 32
G_TAIL_FACTOR = 2.0
"""By how much the tail of the G statistic may exceed that of chi-square; measured in the tests of this module."""


def largest_gaps(below: Ranks, upto: Ranks, reference_rows: Ranks) -> tuple[Floats, Ranks]:
    """Kolmogorov and Smirnov's distance of each column's window to its reference, and its values present.

    `below` and `upto`, by (column, row): how many reference values are below the value, and up to
    it; `MISSING_RANK` for a missing one. Both are needed where values repeat. A column without
    values, in the window or in the reference, has distance 0.
    """
    present = np.count_nonzero(upto != MISSING_RANK, axis=1)
    order = np.arange(1, upto.shape[1] + 1)
    window_rows = np.maximum(present, 1)[:, None]
    rows = np.maximum(reference_rows, 1)[:, None]
    window_above = order / window_rows - np.sort(upto, axis=1) / rows
    reference_above = np.sort(below, axis=1) / rows - (order - 1) / window_rows
    gaps = np.maximum(window_above, reference_above)
    gaps[order > present[:, None]] = 0.0
    gaps[reference_rows == 0] = 0.0
    return gaps.max(axis=1, initial=0.0), present


def gap_p_values(gaps: Floats, window_rows: Ranks, reference_rows: Ranks) -> Floats:
    """2 exp(-2 n D^2) with n = window x reference / (window + reference) rows.

    The inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant (Annals of Probability
    18, 1990), for two samples after Wei and Dudley (Statistics and Probability Letters 82, 2012). It
    asks nothing of the distribution, and with repeated values it is conservative.
    """
    rows = np.maximum(window_rows + reference_rows, 1)
    bounds = 2.0 * np.exp(-2.0 * window_rows * reference_rows / rows * gaps**2)
    return np.asarray(np.minimum(bounds, 1.0))


def share_p_value(seen: int, rows: int, reference_seen: int, reference_rows: int) -> float:
    """Fisher's exact test, two-sided by doubling the smaller tail: `seen` of `rows` against the reference's."""
    if rows == 0 or reference_rows == 0:
        return 1.0
    everything = rows + reference_rows, seen + reference_seen, rows
    at_most = stats.hypergeom.cdf(seen, *everything)
    at_least = stats.hypergeom.sf(seen - 1, *everything)
    return float(min(1.0, 2.0 * min(at_most, at_least)))


@lru_cache(maxsize=65_536)
def share_limits(rows: int, reference_seen: int, reference_rows: int, threshold: float) -> tuple[int, int]:
    """The fewest and the most that may be seen of `rows` with a p-value not below the threshold."""
    if rows == 0 or reference_rows == 0:
        return 0, rows

    def at_most(seen: Ranks) -> Floats:
        return np.asarray(stats.hypergeom.cdf(seen, rows + reference_rows, seen + reference_seen, rows))

    def at_least_all_but(others: Ranks) -> Floats:
        seen = rows - others
        return np.asarray(stats.hypergeom.sf(seen - 1, rows + reference_rows, seen + reference_seen, rows))

    fewest = _first_reaching(at_most, rows, threshold / 2)
    return fewest, rows - _first_reaching(at_least_all_but, rows, threshold / 2)


def _first_reaching(tail: Callable[[Ranks], Floats], last: int, level: float) -> int:
    """The first of 0 ... `last` at which the tail, which grows up to 1, reaches the level."""
    before, reached = -1, last
    while reached - before > 1:
        points = np.unique(np.linspace(before + 1, reached, POINTS_AT_ONCE).astype(np.int64))
        place = int(np.argmax(tail(points) >= level))
        before, reached = int(points[place - 1]) if place else before, int(points[place])
    return reached


def g_statistic(counts: Ranks, reference_counts: Ranks) -> float:
    """The log-likelihood ratio of two samples over the same values, with Williams' correction.

    Williams, Biometrika 63 (1976). 0 when either sample is empty.
    """
    both = counts + reference_counts
    rows, reference_rows, all_rows = counts.sum(), reference_counts.sum(), both.sum()
    if rows == 0 or reference_rows == 0:
        return 0.0
    terms = _x_log_x(counts) + _x_log_x(reference_counts) - _x_log_x(both)
    totals = _x_log_x(rows) + _x_log_x(reference_rows) - _x_log_x(all_rows)
    rows_term = all_rows / rows + all_rows / reference_rows - 1.0
    values_term = (all_rows / np.maximum(both, 1)).sum() - 1.0
    correction = 1.0 + rows_term * values_term / (6.0 * all_rows * (len(counts) - 1))
    return float(max(0.0, 2.0 * (terms.sum() - totals)) / correction)


def g_p_value(statistic: float, values: int) -> float:
    """Twice the tail of chi-square with (values - 1) degrees of freedom, at most 1."""
    return float(min(1.0, G_TAIL_FACTOR * special.chdtrc(values - 1, statistic)))


def _x_log_x(x: Ranks) -> Floats:
    return np.asarray(special.xlogy(x, x))
