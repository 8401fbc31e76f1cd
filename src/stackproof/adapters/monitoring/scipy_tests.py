"""Where the p-values of scipy's tests hold, for the tools whose tests are scipy's."""

from typing import Any

FEWEST_EXPECTED, FEWEST_IN_REFERENCE = 5, 50
KS_TAIL_FACTOR = 1.15
"""Against 10 thousand values and more, the p-value of Kolmogorov and Smirnov's test is up to 1.13 times too small in
windows of 5 to 400 rows."""
FEWEST_APPROXIMATED = 5
"""In a smaller window it is far too small, and the exact one is cheap."""


def common_values(counts: Any, rows: int) -> Any:
    """Of `counts`, how often each value was seen in the reference, those of values that a chi-square test may take.

    They were seen often, and are expected often in a window of so many `rows`.
    """
    expected = counts * min(rows / counts.sum(), 1.0)
    return counts[(expected >= FEWEST_EXPECTED) & (counts >= FEWEST_IN_REFERENCE)]
