"""The columns as Evidently's tests take them, and what the tests find in a window."""

import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from stackproof.adapters.monitoring.plain_wording import moved, percent, shortened
from stackproof.adapters.monitoring.scipy_tests import FEWEST_APPROXIMATED, KS_TAIL_FACTOR, common_values
from stackproof.adapters.monitoring.watch_book import Breach
from stackproof.roles.monitoring import ColumnKind

CHI_TAIL_FACTOR = 30.0
"""By how much the tail of the statistic may exceed that of chi-square. In simulated windows of 25 to 400 rows, two to
forty values, at the level 6e-5, its false alarms reached 6.7 times the level without it and 0.65 times with it."""
VALUES = "Evidently's K-S p_value"
SHARES = "Evidently's chi-square p_value of the common values"
OTHERS = "Evidently's K-S p_value of rare and unseen values"
MISSING = "Evidently's K-S p_value of missing values"


class Features:
    """A reference, prepared once for all looks."""

    def __init__(self, reference: Any, columns: Mapping[str, ColumnKind]) -> None:
        self._columns = columns
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
            effect = f"missing {percent(before.isna().mean())} -> {percent(after.isna().mean())}"
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
        common = common_values(counts, len(after)).index
        is_common, was_common = after.isin(common), before.isin(common)
        effect = f"share of rare and unseen values {percent(1 - was_common.mean())} -> {percent(1 - is_common.mean())}"
        yield from _of_indicator(column, OTHERS, ~was_common, ~is_common, level, effect)
        if len(common) >= 2 and is_common.any():
            yield from _of_shares(column, before[was_common], after[is_common], level)


def frames(reference: Any, window: Any, columns: Mapping[str, ColumnKind]) -> tuple[Any, Any, list[str]]:
    """The window and the reference in pandas, and the columns that Evidently's reports take: with values."""
    before, current = reference.to_pandas(), window.to_pandas()
    numpy = import_module("numpy")
    usable = []
    for column, kind in columns.items():
        sides = (before[column], current[column])
        if all((numpy.isfinite(side) if _is_numeric(kind) else side.notna()).any() for side in sides):
            usable.append(column)
    return current[usable], before[usable], usable


def _is_numeric(kind: ColumnKind) -> bool:
    return kind == ColumnKind.NUMERIC


def _tested(test: str, before: Any, after: Any, is_numeric: bool, threshold: float) -> float:
    """The p-value of one of Evidently's tests; 1 where it has none."""
    stattests = import_module("evidently.legacy.calculations.stattests")
    types = import_module("evidently").ColumnType
    column_type = types.Numerical if is_numeric else types.Categorical
    p_value = float(getattr(stattests, test)(before, after, column_type, threshold).drift_score)
    return 1.0 if math.isnan(p_value) else p_value


def _kolmogorov_smirnov(before: Any, after: Any, threshold: float) -> float:
    """The p-value."""
    if len(after) < FEWEST_APPROXIMATED:
        return float(import_module("scipy.stats").ks_2samp(before, after, method="exact").pvalue)
    return _tested("ks_stat_test", before, after, True, threshold)


def _of_numbers(column: str, before: Any, after: Any, level: float) -> Iterator[Breach]:
    threshold = level / KS_TAIL_FACTOR
    p_value = _kolmogorov_smirnov(before, after, threshold)
    if p_value < threshold:
        gap = _gap(before, after)
        yield Breach(column, VALUES, gap, p_value, threshold, moved(before, after, gap))


def _of_indicator(column: str, test: str, before: Any, after: Any, level: float, effect: str) -> Iterator[Breach]:
    if before.mean() == after.mean():
        return
    threshold = level / KS_TAIL_FACTOR
    p_value = _kolmogorov_smirnov(before.astype(float), after.astype(float), threshold)
    if p_value < threshold:
        yield Breach(column, test, float(after.mean()), p_value, threshold, effect)


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
        value = parts.idxmax()
        was, now = counts[value] / len(before), seen[value] / len(after)
        effect = f"share of {shortened(value)} {percent(was)} -> {percent(now)}"
        yield Breach(column, SHARES, float(parts.sum()), p_value, threshold, effect)


def _gap(before: Any, after: Any) -> float:
    """Kolmogorov and Smirnov's statistic, which Evidently does not tell."""
    numpy = import_module("numpy")
    first, second = numpy.sort(before.to_numpy()), numpy.sort(after.to_numpy())
    points = numpy.concatenate([first, second])
    below = [numpy.searchsorted(side, points, side="right") / len(side) for side in (first, second)]
    return float(numpy.abs(below[0] - below[1]).max())
