"""Sizes of a difference in words, whatever library holds the values; standard library only."""

from typing import Any

LONGEST_VALUE = 40


def percent(share: float) -> str:
    """A share of 0 to 1 as "17 %", "1.2 %" or "0.04 %"."""
    points = 100.0 * share
    return f"{points:.0f} %" if points >= 10 or points == 0 else f"{points:.2g} %"


def shortened(value: object) -> str:
    """The value's text between quotes, at most LONGEST_VALUE characters of it."""
    text = str(value)
    return repr(text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…")


def moved(before: Any, after: Any, gap: float) -> str:
    """Of two pandas series of numbers: the median or the mean that moved, else how far the distributions are apart."""
    for name in ("median", "mean"):
        was, now = (f"{getattr(side, name)():.3g}" for side in (before, after))
        if was != now and "nan" not in (was, now):
            return f"{name} {was} -> {now}"
    return f"the distributions are {percent(gap)} apart"
