"""Likely causes of a difference, as far as the values themselves tell."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stackproof.adapters.monitoring.columns import Numbers, Rows
from stackproof.adapters.monitoring.evidence import Ranks, gap_p_values, largest_gaps
from stackproof.adapters.monitoring.looking import Breach, Test
from stackproof.adapters.monitoring.plain_wording import percent
from stackproof.adapters.monitoring.reference import CategoricalReference, NumericReference, Reference
from stackproof.adapters.monitoring.wording import quoted

UNIT_FACTORS = (
    ("mph to m/s", 0.44704),
    ("mph to km/h", 1.609344),
    ("mph to kn", 0.868976),
    ("kn to m/s", 0.514444),
    ("kn to km/h", 1.852),
    ("m/s to km/h", 3.6),
    ("ft to m", 0.3048),
    ("inch to cm", 2.54),
    ("inch to mm", 25.4),
    ("inHg to hPa", 33.8639),
    ("lb to kg", 0.45359237),
    ("shares to percent", 100.0),
    ("units to thousands", 0.001),
    ("seconds to minutes", 1 / 60),
    ("minutes to hours", 1 / 60),
)
TURNED_SIGN = "turned sign"
TOLERANCE = 5e-4
"""Relative; a source may convert with 0.447 where another takes 0.44704."""
PASSING_P_VALUE = 0.01
CLEARLY_WORSE = 1.5
ON_GRID_SHARE = 0.5
MOSTLY = 0.5
QUANTILES = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True, slots=True)
class Conversion:
    """`value -> value * factor + offset`. `name` is "" for a factor that no unit explains."""

    factor: float
    offset: float = 0.0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """`gap`: the distance that is left. `is_off_grid`: most values, undone, are none that the reference has."""

    conversion: Conversion
    gap: float
    is_off_grid: bool


def hint_of(breach: Breach, reference: Reference, window: Rows) -> str:
    """A likely cause, or ""."""
    if breach.is_numeric:
        numbers = window.numbers[breach.place]
        return _numeric(breach, reference.numeric[breach.place], numbers[~np.isnan(numbers)], window.count)
    category, texts = reference.categorical[breach.place], window.texts[breach.place]
    counts = Counter(text for text in texts if text is not None)
    return _categorical(breach, category, counts, window.count)


def _numeric(breach: Breach, reference: NumericReference, numbers: Numbers, rows: int) -> str:
    if breach.test is Test.MISSING:
        return _missing(len(numbers), rows)
    if len(reference.values) and np.all(numbers == numbers[0]) and reference.values[0] != reference.values[-1]:
        return f"a single value repeated: {numbers[0]:.6g}"
    return _conversion(reference, numbers)


def _missing(present: int, rows: int) -> str:
    if present == 0:
        return "every value is missing, as when a source stopped or a column was renamed"
    missing = 1 - present / rows
    return "mostly missing, as when a join no longer finds its rows" if missing > MOSTLY else ""


def _categorical(breach: Breach, category: CategoricalReference, counts: Counter[str], rows: int) -> str:
    if breach.test is Test.MISSING:
        return _missing(counts.total(), rows)
    unseen = Counter({value: n for value, n in counts.items() if value not in category.counts_by_value})
    if breach.test is Test.OTHER_VALUES and unseen:
        return _unseen(category, unseen, counts.total())
    if len(counts) == 1 and len(category.values) > 1:
        return f"a single value repeated: {quoted(next(iter(counts)))}"
    return ""


def _unseen(category: CategoricalReference, unseen: Counter[str], present: int) -> str:
    known = {_folded(value): value for value in reversed(category.values)}
    respelt = [value for value, _ in unseen.most_common() if _folded(value) in known]
    if respelt:
        value = respelt[0]
        return f"{quoted(value)} looks like {quoted(known[_folded(value)])}, spelt otherwise"
    names = ", ".join(quoted(value) for value, _ in unseen.most_common(3))
    return f"{percent(unseen.total() / present)} are values that the reference has not, such as {names}"


def _folded(value: str) -> str:
    return value.strip().casefold()


def _conversion(reference: NumericReference, numbers: Numbers) -> str:
    """The conversion that, undone, makes the window pass the test; and another that is about as good."""
    fits = sorted(_fitting(reference, numbers), key=lambda fit: (fit.is_off_grid, fit.gap))
    named = [fit for fit in fits if fit.conversion.name]
    if not named:
        return f"values look multiplied by {fits[0].conversion.factor:.3g}" if fits else ""
    first, best = named[0], named[0].conversion
    if best.name == TURNED_SIGN:
        return "values look as before with the opposite sign"
    if best.offset:
        return f"values look converted from {best.name}"
    names = [
        fit.conversion.name
        for fit in named
        if fit.is_off_grid == first.is_off_grid and fit.gap <= first.gap * CLEARLY_WORSE
    ]
    return f"values look multiplied by {best.factor:.3g}, as a change of unit would do ({' or '.join(names[:2])})"


def _fitting(reference: NumericReference, numbers: Numbers) -> Iterator[Fit]:
    rows = np.array([len(reference.values)])
    for conversion in _conversions(reference.values, numbers):
        below, upto = _places_once_undone(conversion, reference.values, numbers)
        gaps, present = largest_gaps(below[None, :], upto[None, :], rows)
        if gap_p_values(gaps, present, rows)[0] > PASSING_P_VALUE:
            on_grid = float(np.mean(upto > below))
            yield Fit(conversion, float(gaps[0]), is_off_grid=on_grid < ON_GRID_SHARE)


def _conversions(reference: Numbers, numbers: Numbers) -> Iterator[Conversion]:
    for name, factor in UNIT_FACTORS:
        yield Conversion(factor, name=name)
        there, back = name.split(" to ")
        yield Conversion(1 / factor, name=f"{back} to {there}")
    yield Conversion(5 / 9, -160 / 9, "°F to °C")
    yield Conversion(9 / 5, 32.0, "°C to °F")
    yield Conversion(1.0, -273.15, "K to °C")
    yield Conversion(1.0, 273.15, "°C to K")
    yield Conversion(-1.0, name=TURNED_SIGN)
    fitted = _fitted_factor(reference, numbers)
    if fitted is not None:
        yield Conversion(fitted)


def _fitted_factor(reference: Numbers, numbers: Numbers) -> float | None:
    """The median ratio of the quantiles: a single constant, if there is one."""
    before = np.quantile(reference, QUANTILES, method="inverted_cdf")
    after = np.quantile(numbers, QUANTILES, method="inverted_cdf")
    usable = np.isfinite(before) & np.isfinite(after) & (before != 0)
    with np.errstate(over="ignore"):
        ratios = after[usable] / before[usable]
    factor = float(np.median(ratios)) if len(ratios) else 0.0
    return factor if np.isfinite(factor) and factor > 0 else None


def _places_once_undone(conversion: Conversion, reference: Numbers, numbers: Numbers) -> tuple[Ranks, Ranks]:
    """How many reference values are below and up to each number, those within the tolerance taken as equal."""
    with np.errstate(over="ignore", invalid="ignore"):
        undone = (numbers - conversion.offset) / conversion.factor
        slack = np.where(np.isfinite(undone), np.abs(undone) * TOLERANCE, 0.0)
        below = np.searchsorted(reference, undone - slack, side="left")
        upto = np.searchsorted(reference, undone + slack, side="right")
    return below.astype(np.int64), upto.astype(np.int64)
