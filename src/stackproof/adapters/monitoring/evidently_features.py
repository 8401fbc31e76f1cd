"""The columns as Evidently's tests take them, and what the tests find in a window."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from stackproof.errors import InvalidTable
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.table import Table

FEWEST_EXPECTED, FEWEST_IN_REFERENCE = 5, 50
"""A value is common when at least so many are expected in the window, and were seen in the reference."""
CHI_TAIL_FACTOR = 30.0
"""By how much the tail of the statistic may exceed that of chi-square. In simulated windows of 25 to 400 rows, two to
forty values, at the level 6e-5, its false alarms reached 6.7 times the level without it and 0.65 times with it."""
VALUES = "Evidently's K-S p_value"
SHARES = "Evidently's chi-square p_value of the common values"
OTHERS = "Evidently's K-S p_value of rare and unseen values"
MISSING = "Evidently's K-S p_value of missing values"
LONGEST_VALUE = 40


@dataclass(frozen=True, slots=True)
class Breach:
    """A test whose p-value is below its threshold."""

    column: str
    test: str
    statistic: float
    p_value: float
    threshold: float
    effect: str


def watched(table: Table, columns: Mapping[str, ColumnKind], what: str) -> Any:
    """The table in Arrow. Raises `InvalidTable` for a missing column, and for a reference without rows."""
    pyarrow = import_module("pyarrow")
    try:
        arrow = pyarrow.table(table)
    except (TypeError, ValueError, pyarrow.ArrowException) as unreadable:
        raise InvalidTable("This is no table", got=f"{type(table).__name__}: {unreadable}") from unreadable
    missing = [name for name in columns if name not in arrow.column_names]
    if missing:
        raise InvalidTable(
            "The table lacks columns that are watched",
            faults=[f"{name!r} is missing" for name in missing],
            got=", ".join(arrow.column_names) or "no columns",
            allowed=", ".join(columns),
        )
    if what == "reference" and arrow.num_rows == 0:
        raise InvalidTable("The reference has no rows", got="0 rows", allowed="at least one row")
    return arrow


def normalised(arrow: Any, columns: Mapping[str, ColumnKind]) -> Any:
    """The watched columns alone, numbers as float64 and categories as text; what is none is null.

    In a numeric column, what is no number is missing: null, NaN, a text that is no number. In a categorical one a
    whole number counts as the integer, so that 1.0 and 1 are the same value.
    """
    pyarrow = import_module("pyarrow")
    made = {}
    for name, kind in columns.items():
        values, types = arrow.column(name), pyarrow.types
        if kind is ColumnKind.NUMERIC:
            plain = types.is_integer(values.type) or types.is_floating(values.type)
            if plain:
                made[name] = pyarrow.chunked_array([values.cast(pyarrow.float64(), safe=False).combine_chunks()])
            else:
                made[name] = pyarrow.array(map(_number, values.to_pylist()), pyarrow.float64())
        elif types.is_string(values.type) or types.is_large_string(values.type):
            made[name] = values.cast(pyarrow.large_string())
        else:
            made[name] = pyarrow.array(map(_text, values.to_pylist()), pyarrow.large_string())
    return pyarrow.table(made)


class Features:
    """A reference, prepared once for all looks."""

    def __init__(self, reference: Any, columns: Mapping[str, ColumnKind]) -> None:
        self._columns = columns
        self._reference = reference
        self._frame = reference.to_pandas()
        self._counts = {
            column: self._frame[column].value_counts() for column, kind in columns.items() if not _is_numeric(kind)
        }

    @property
    def tests(self) -> int:
        """How many tests a look makes."""
        return sum(2 if _is_numeric(kind) else 3 for kind in self._columns.values())

    def breaches(self, window: Any, level: float) -> Iterator[Breach]:
        """Every test of the window whose p-value is below its threshold."""
        frame = window.to_pandas()
        for column, kind in self._columns.items():
            before, after = self._frame[column], frame[column]
            effect = f"missing {_percent(before.isna().mean())} -> {_percent(after.isna().mean())}"
            yield from _of_indicator(column, MISSING, before.isna(), after.isna(), level, effect)
            before, after = before.dropna(), after.dropna()
            if before.empty or after.empty:
                continue
            if _is_numeric(kind):
                yield from _of_numbers(column, before, after, level)
            else:
                yield from self._of_category(column, before, after, level)

    def _of_category(self, column: str, before: Any, after: Any, level: float) -> Iterator[Breach]:
        counts = self._counts[column]
        expected = counts * min(len(after) / len(before), 1.0)
        common = counts.index[(expected >= FEWEST_EXPECTED) & (counts >= FEWEST_IN_REFERENCE)]
        is_common, was_common = after.isin(common), before.isin(common)
        effect = (
            f"share of rare and unseen values {_percent(1 - was_common.mean())} -> {_percent(1 - is_common.mean())}"
        )
        yield from _of_indicator(column, OTHERS, ~was_common, ~is_common, level, effect)
        if len(common) >= 2 and is_common.any():
            yield from _of_shares(column, before[was_common], after[is_common], level)

    def frames(self, window: Any) -> tuple[Any, Any, list[str]]:
        """The window and the reference in pandas, and the columns that Evidently's reports take: with values."""
        current = window.to_pandas()
        numpy = import_module("numpy")
        usable = []
        for column, kind in self._columns.items():
            sides = (self._frame[column], current[column])
            if all((numpy.isfinite(side) if _is_numeric(kind) else side.notna()).any() for side in sides):
                usable.append(column)
        return current[usable], self._frame[usable], usable


def _is_numeric(kind: ColumnKind) -> bool:
    return kind == ColumnKind.NUMERIC


def _tested(test: str, before: Any, after: Any, is_numeric: bool, threshold: float) -> float:
    """The p-value of one of Evidently's tests; 1 where it has none."""
    stattests = import_module("evidently.legacy.calculations.stattests")
    types = import_module("evidently").ColumnType
    column_type = types.Numerical if is_numeric else types.Categorical
    p_value = float(getattr(stattests, test)(before, after, column_type, threshold).drift_score)
    return 1.0 if math.isnan(p_value) else p_value


def _of_numbers(column: str, before: Any, after: Any, level: float) -> Iterator[Breach]:
    p_value = _tested("ks_stat_test", before, after, True, level)
    if p_value < level:
        gap = _gap(before, after)
        yield Breach(column, VALUES, gap, p_value, level, _moved(before, after, gap))


def _of_indicator(column: str, test: str, before: Any, after: Any, level: float, effect: str) -> Iterator[Breach]:
    if before.mean() == after.mean():
        return
    p_value = _tested("ks_stat_test", before.astype(float), after.astype(float), True, level)
    if p_value < level:
        yield Breach(column, test, float(after.mean()), p_value, level, effect)


def _of_shares(column: str, before: Any, after: Any, level: float) -> Iterator[Breach]:
    """Evidently takes the reference's shares for exact; the threshold allows for the rows that they come from."""
    chi2 = import_module("scipy.stats").chi2
    counts = before.value_counts()
    limit = chi2.isf(level / CHI_TAIL_FACTOR, len(counts) - 1) * (1 + len(after) / len(before))
    threshold = float(chi2.sf(limit, len(counts) - 1))
    p_value = _tested("chi_stat_test", before, after, False, threshold)
    if p_value < threshold:
        expected = counts * (len(after) / len(before))
        seen = after.value_counts().reindex(counts.index, fill_value=0)
        parts = (seen - expected) ** 2 / expected
        value = str(parts.idxmax())
        was, now = counts[value] / len(before), seen[value] / len(after)
        shown = repr(value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…")
        effect = f"share of {shown} {_percent(was)} -> {_percent(now)}"
        yield Breach(column, SHARES, float(parts.sum()), p_value, threshold, effect)


def _gap(before: Any, after: Any) -> float:
    """Kolmogorov and Smirnov's statistic, which Evidently does not tell."""
    numpy = import_module("numpy")
    first, second = numpy.sort(before.to_numpy()), numpy.sort(after.to_numpy())
    points = numpy.concatenate([first, second])
    below = [numpy.searchsorted(side, points, side="right") / len(side) for side in (first, second)]
    return float(numpy.abs(below[0] - below[1]).max())


def _moved(before: Any, after: Any, gap: float) -> str:
    for name in ("median", "mean"):
        was, now = (f"{getattr(side, name)():.3g}" for side in (before, after))
        if was != now and "nan" not in (was, now):
            return f"{name} {was} -> {now}"
    return f"the distributions are {_percent(gap)} apart"


def _percent(share: float) -> str:
    points = 100.0 * share
    return f"{points:.0f} %" if points >= 10 or points == 0 else f"{points:.2g} %"


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str | None:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)
