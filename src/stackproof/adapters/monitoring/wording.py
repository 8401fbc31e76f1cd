"""The size of a difference in words, reference first: "median 10.4 -> 4.63"."""

from collections import Counter

import numpy as np

from stackproof.adapters.monitoring.columns import Numbers, Rows
from stackproof.adapters.monitoring.looking import Breach, Test
from stackproof.adapters.monitoring.plain_wording import LONGEST_VALUE, percent
from stackproof.adapters.monitoring.reference import CategoricalReference, NumericReference, Reference


def effect_of(breach: Breach, reference: Reference, window: Rows) -> str:
    """What differs most, in the measure that the test is about."""
    if breach.is_numeric:
        numeric, numbers = reference.numeric[breach.place], window.numbers[breach.place]
        if breach.test is Test.MISSING:
            missing = int(np.count_nonzero(np.isnan(numbers)))
            return _missing(numeric.missing, reference.rows, missing, window.count)
        return _numeric(numeric, numbers[~np.isnan(numbers)])
    category = reference.categorical[breach.place]
    counts = Counter(window.texts[breach.place])
    missing = counts.pop(None, 0)
    if breach.test is Test.MISSING:
        return _missing(sum(category.missing), reference.rows, missing, window.count)
    seen = Counter({value: count for value, count in counts.items() if value is not None})
    if breach.test is Test.OTHER_VALUES:
        return _others(category, seen, window.count)
    return _most_changed(category, seen, category.values[: category.common(window.count)])


def quoted(value: str) -> str:
    """The value between quotes, shortened, without control characters."""
    return repr(value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…")


def _numeric(reference: NumericReference, numbers: Numbers) -> str:
    for name, measure in (("median", _median), ("mean", _mean)):
        before, after = f"{measure(reference.values):.3g}", f"{measure(numbers):.3g}"
        if before != after and "nan" not in (before, after):
            return f"{name} {before} -> {after}"
    return _share_below(reference, numbers)


def _share_below(reference: NumericReference, numbers: Numbers) -> str:
    """The share of values up to the point at which the two distributions are furthest apart."""
    points = np.unique(np.concatenate([numbers, reference.values]))
    before = np.searchsorted(reference.values, points, side="right") / len(reference.values)
    after = np.searchsorted(np.sort(numbers), points, side="right") / len(numbers)
    at = int(np.argmax(np.abs(before - after)))
    return f"share of values up to {points[at]:.4g}: {percent(before[at])} -> {percent(after[at])}"


def _median(numbers: Numbers) -> float:
    """The lower of the two middle values, so that infinities of both signs give no NaN."""
    ordered = np.sort(numbers)
    low, high = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    return low + (high - low) / 2 if np.isfinite(low) and np.isfinite(high) else low


def _mean(numbers: Numbers) -> float:
    """NaN where there is none: with infinities, or beyond the range of a float."""
    if not np.isfinite(numbers).all():
        return float("nan")
    with np.errstate(over="ignore"):
        mean = float(numbers.mean())
    return mean if np.isfinite(mean) else float("nan")


def _missing(reference_missing: int, reference_rows: int, missing: int, rows: int) -> str:
    return f"missing {percent(reference_missing / reference_rows)} -> {percent(missing / rows)}"


def _most_changed(category: CategoricalReference, seen: Counter[str], values: tuple[str, ...]) -> str:
    """The value with the largest part in the statistic; shares are of all values that are there."""
    rows = seen.total()

    def change(value: str) -> float:
        before = max(category.share(value), 1e-9)
        after = seen[value] / rows
        return (after - before) ** 2 / before

    return _share_of(category, seen, max(values, key=change))


def _others(category: CategoricalReference, seen: Counter[str], rows: int) -> str:
    common = category.values[: category.common(rows)]
    others = Counter({value: count for value, count in seen.items() if value not in common})
    for value, count in others.most_common(1):
        if 2 * count >= others.total():
            return _share_of(category, seen, value)
    before = 1 - sum(map(category.share, common))
    after = others.total() / max(seen.total(), 1)
    return f"share of rare and unseen values {percent(max(before, 0.0))} -> {percent(after)}"


def _share_of(category: CategoricalReference, seen: Counter[str], value: str) -> str:
    before = category.share(value)
    after = seen[value] / max(seen.total(), 1)
    return f"share of {quoted(value)} {percent(before)} -> {percent(after)}"
