"""NannyML's univariate tests on a window, each with a p-value.

NannyML compares its statistics with thresholds of three standard deviations, which bound no false alarms. So the
p-value of its statistic is compared with a threshold that does, lower where the p-value is an approximation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from stackproof.adapters.monitoring.plain_wording import moved, percent, shortened
from stackproof.adapters.monitoring.scipy_tests import FEWEST_APPROXIMATED, KS_TAIL_FACTOR, common_values
from stackproof.adapters.monitoring.watch_book import Breach
from stackproof.roles.monitoring import ColumnKind

CHI_TAIL_FACTOR = 10.0
"""By how much the tail of NannyML's statistic may exceed that of chi-square. In simulated windows of 25 to 400 rows,
two to forty values, at the level 6e-5, its false alarms reached 2.3 times the level without it and 0.54 with it."""
VALUES = "NannyML's Kolmogorov-Smirnov statistic"
SHARES = "NannyML's chi-square statistic of the common values"
OTHERS = "Fisher's exact test of rare and unseen values"
MISSING = "Fisher's exact test of missing values"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the reference: its values that are not missing, and of a category how often each was seen.

    `fitted`: NannyML's methods on it. A numeric column has one, with the key 0; a category has one for each number
    of common values, which are its most frequent ones.
    """

    name: str
    kind: ColumnKind
    rows: int
    values: Any
    counts: Any
    fitted: dict[int, Any]

    @classmethod
    def of(cls, name: str, kind: ColumnKind, series: Any) -> "Column":
        values = series.dropna()
        is_category = kind is ColumnKind.CATEGORICAL
        fitted = {} if is_category or values.empty else {0: _kolmogorov_smirnov(values)}
        return cls(name, kind, len(series), values, values.value_counts() if is_category else None, fitted)

    def breaches(self, window: Any, level: float) -> Iterator[Breach]:
        after = window.dropna()
        missing = (self.rows - len(self.values), self.rows), (len(window) - len(after), len(window))
        yield from _of_shares(self.name, MISSING, "missing", *missing, level)
        if self.values.empty or after.empty:
            return
        if self.kind is ColumnKind.NUMERIC:
            yield from self._of_numbers(after, level)
        else:
            yield from self._of_category(after, level)

    def _of_numbers(self, after: Any, level: float) -> Iterator[Breach]:
        method, threshold = "exact" if len(after) < FEWEST_APPROXIMATED else "auto", level / KS_TAIL_FACTOR
        p_value = float(import_module("scipy.stats").ks_2samp(self.values, after, method=method).pvalue)
        if p_value < threshold:
            gap = float(self.fitted[0].calculate(after))
            yield Breach(self.name, VALUES, gap, p_value, threshold, moved(self.values, after, gap))

    def _of_category(self, after: Any, level: float) -> Iterator[Breach]:
        before, seen = len(self.values), after.value_counts()
        common = common_values(self.counts, len(after))
        now = seen.reindex(common.index, fill_value=0)
        others = (before - int(common.sum()), before), (len(after) - int(now.sum()), len(after))
        yield from _of_shares(self.name, OTHERS, "rare and unseen", *others, level)
        if len(common) < 2 or now.sum() == 0:
            return
        statistic = float(self._chi_square(common.index).calculate(after[after.isin(common.index)]))
        p_value = float(import_module("scipy.stats").chi2.sf(statistic, len(common) - 1))
        threshold = level / CHI_TAIL_FACTOR
        if p_value < threshold:
            yield Breach(self.name, SHARES, statistic, p_value, threshold, _share_moved(common, now))

    def _chi_square(self, common: Any) -> Any:
        if len(common) not in self.fitted:
            self.fitted[len(common)] = _method("chi2", "CATEGORICAL", self.values[self.values.isin(common)], {})
        return self.fitted[len(common)]


class UnivariateTests:
    """A reference, prepared once for all looks."""

    def __init__(self, reference: Any, columns: Mapping[str, ColumnKind]) -> None:
        frame = reference.to_pandas()
        self._columns = [Column.of(name, kind, frame[name]) for name, kind in columns.items()]

    @property
    def tests(self) -> int:
        return sum(2 if column.kind is ColumnKind.NUMERIC else 3 for column in self._columns)

    def breaches(self, window: Any, level: float) -> Iterator[Breach]:
        frame = window.to_pandas()
        for column in self._columns:
            yield from column.breaches(frame[column.name], level)


def _kolmogorov_smirnov(reference: Any) -> Any:
    """NannyML's, on all values: from 10 thousand of them on it would count in bins that an outlier makes coarse."""
    exact = {"calculation_method": "exact"}
    return _method("kolmogorov_smirnov", "CONTINUOUS", reference, exact | {"kolmogorov_smirnov": exact})


def _method(name: str, kind: str, reference: Any, parameters: dict[str, Any]) -> Any:
    methods, chunk = import_module("nannyml.drift.univariate.methods"), import_module("nannyml.chunk")
    made = methods.MethodFactory.create(
        key=name,
        feature_type=methods.FeatureType[kind],
        chunker=chunk.SizeBasedChunker(chunk_size=max(1, len(reference))),
        threshold=import_module("nannyml.thresholds").ConstantThreshold(),
        computation_params=parameters,
    )
    return made.fit(reference)


def _of_shares(
    column: str, test: str, what: str, before: tuple[int, int], after: tuple[int, int], level: float
) -> Iterator[Breach]:
    """`before` and `after`: how many rows are such, and how many there are."""
    table = [[such, rows - such] for such, rows in (before, after)]
    if 0 in (table[0][0] + table[1][0], table[0][1] + table[1][1]):
        return
    p_value = float(import_module("scipy.stats").fisher_exact(table)[1])
    if p_value < level:
        was, now = before[0] / before[1], after[0] / after[1]
        yield Breach(column, test, now, p_value, level, f"{what} {percent(was)} -> {percent(now)}")


def _share_moved(before: Any, after: Any) -> str:
    """Of the value that moved most, beside how much it moves by chance. Both: how often each value was seen."""
    was, now = before / before.sum(), after / after.sum()
    value = ((now - was) ** 2 / was).idxmax()
    return f"share of {shortened(value)} {percent(was[value])} -> {percent(now[value])}"
