"""What was measured, in words and numbers as a reader wants them."""

from collections.abc import Sequence

from stackproof.prove.statistics import Interval
from stackproof.prove.verdict import Compared
from stackproof.usecases.pages.numbers import percent

NOTHING = "–"


def amount(value: float) -> str:
    """Three digits that count, thousands set apart: 0.0123, 1.23, 12.3, 1,230."""
    size = abs(value)
    if value == round(value) and size < 1e15:
        return f"{value:,.0f}"
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.9995 else f"{value:.3g}"


def interval(found: Interval | None) -> str:
    """The median, and the ends of its interval where they differ from it."""
    if found is None:
        return NOTHING
    middle, low, high = amount(found.middle), amount(found.low), amount(found.high)
    return middle if low == high == middle else f"{middle} ({low}–{high})"


def with_unit(text: str, unit: str) -> str:
    """A count has no unit; a rate is "a second"."""
    words = {"1": "", "1/s": "a second"}
    return f"{text} {words.get(unit, unit)}".rstrip()


def confidence(compared: Sequence[Compared]) -> str:
    """What the intervals are worth."""
    found = {one.confidence for each in compared for one in each.intervals if one is not None and one.confidence > 0}
    if not found:
        return "Each figure was measured once: more rounds (--repeats) tell how far it varies."
    low, high = percent(min(found)), percent(max(found))
    share = low if low == high else f"{low} to {high}"
    return (
        f"An interval holds the true median with a probability of {share}, whatever the distribution (sign test); "
        "more rounds (--repeats) make that more certain."
    )


def versions(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found)
