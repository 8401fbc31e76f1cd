"""Noticing drift beside plain SciPy on the same windows with the same thresholds, both sides in one command.

    python -m benchmarks.drift [--quick]

Plain SciPy is what one writes first: at each look `ks_2samp` for numbers, `chi2_contingency` for
categories and `binomtest` for missing values, on the whole reference each time. Speed: 25 columns
against 100,000 reference rows. False alarms: streams drawn anew from the source of the reference, or
from the reference itself, under a policy loose enough that alarms can be counted. Delay: predictions
from a change to its first finding, under the default policy for 25 columns.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from stackproof.adapters.monitoring.calibration import plan_of
from stackproof.adapters.monitoring.columns import read_rows
from stackproof.adapters.monitoring.drift import Watch
from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.adapters.monitoring.reference import Reference
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import ColumnKind, Policy

NUMERIC_COLUMNS, CATEGORICAL_COLUMNS = 17, 8
HORIZON = 3000
STREAM_ROWS = 2000


def kinds_of(frame: pl.DataFrame) -> dict[str, ColumnKind]:
    return {
        name: ColumnKind.CATEGORICAL if dtype == pl.String else ColumnKind.NUMERIC
        for name, dtype in frame.schema.items()
    }


def wide_rows(rows: int, seed: int) -> pl.DataFrame:
    """25 columns: continuous ones, and categorical ones with 5 to 100 values."""
    chance = np.random.default_rng(seed)
    numbers = {f"number_{place}": chance.gamma(2, 5, rows) for place in range(NUMERIC_COLUMNS)}
    texts = {
        f"text_{place}": chance.integers(0, 5 + 95 * place // (CATEGORICAL_COLUMNS - 1), rows).astype(str)
        for place in range(CATEGORICAL_COLUMNS)
    }
    return pl.DataFrame(numbers | texts)


def mixed_rows(rows: int, seed: int) -> pl.DataFrame:
    """Continuous, tied, mostly zero, rarely missing; a hundred skewed values, a hundred even ones, a rare one."""
    chance = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "continuous": chance.gamma(2, 5, rows),
            "tied": np.round(chance.gamma(2, 2, rows)),
            "mostly_zero": np.where(chance.random(rows) < 0.95, 0.0, chance.random(rows)),
            "rarely_missing": np.where(chance.random(rows) < 0.001, np.nan, chance.normal(size=rows)),
            "hundred_skewed": [f"v{value}" for value in np.minimum(chance.zipf(1.3, rows), 100)],
            "hundred_even": chance.integers(0, 100, rows).astype(str),
            "rare": np.where(chance.random(rows) < 0.01, "yes", "no"),
        }
    )


class PlainScipy:
    """The same looks, windows and thresholds, with SciPy's functions on the whole reference."""

    def __init__(self, reference: pl.DataFrame, policy: Policy) -> None:
        kinds = kinds_of(reference)
        self.plan, self.policy = plan_of(policy, kinds), policy
        rows = read_rows(reference, kinds)
        self.numbers = [column[~np.isnan(column)] for column in rows.numbers]
        self.missing = [float(np.isnan(column).mean()) for column in rows.numbers]
        self.texts = [Counter(column) for column in rows.texts]
        self.rows = rows.count

    def look(self, window: pl.DataFrame) -> set[int]:
        """The places of the columns that differ."""
        rows, found = read_rows(window, kinds_of(window)), set()
        for size in dict.fromkeys(min(size, rows.count) for size in self.plan.sizes):
            part = rows.part(rows.count - size, rows.count)
            for place, column in enumerate(part.numbers):
                if self._number_differs(place, column):
                    found.add(place)
            for place, texts in enumerate(part.texts):
                if self._shares(texts, self.texts[place]) < self.plan.threshold:
                    found.add(len(self.numbers) + place)
        return found

    def _number_differs(self, place: int, column: np.ndarray) -> bool:
        present = column[~np.isnan(column)]
        missing = len(column) - len(present)
        p_values = [stats.binomtest(missing, len(column), self.missing[place]).pvalue]
        if len(present):
            p_values.append(stats.ks_2samp(present, self.numbers[place], method="asymp").pvalue)
        return min(p_values) < self.plan.threshold

    @staticmethod
    def _shares(texts: Sequence[str | None], reference: Counter[str | None]) -> float:
        seen = Counter(texts)
        values = list(seen | reference)
        if len(values) < 2:
            return 1.0
        table = [[seen[value] for value in values], [reference[value] for value in values]]
        return float(stats.chi2_contingency(table).pvalue)

    def findings(self, stream: pl.DataFrame) -> Iterator[tuple[int, int]]:
        """(position after the look, column) for each column that comes into alarm."""
        in_alarm: set[int] = set()
        for stop in range(self.policy.every, stream.height + 1, self.policy.every):
            found = self.look(stream[max(0, stop - self.policy.window) : stop])
            yield from ((stop, column) for column in sorted(found - in_alarm))
            in_alarm = found


def ours(reference: pl.DataFrame, policy: Policy) -> Callable[[pl.DataFrame], Iterator[tuple[int, int]]]:
    kinds = kinds_of(reference)
    order, prepared = list(kinds), Reference.read(reference, kinds)

    def findings(stream: pl.DataFrame) -> Iterator[tuple[int, int]]:
        watch = Watch(kinds, policy, prepared)
        for start in range(0, stream.height, policy.every):
            for finding in watch.observe(read_rows(stream[start : start + policy.every], kinds)):
                yield finding.last + 1, order.index(finding.column)

    return findings


def plain(reference: pl.DataFrame, policy: Policy) -> Callable[[pl.DataFrame], Iterator[tuple[int, int]]]:
    return PlainScipy(reference, policy).findings


SIDES = {"ours": ours, "SciPy": plain}


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def compare_speed(reference_rows: int) -> None:
    reference, policy = wide_rows(reference_rows, 0), Policy()
    kinds, stream = kinds_of(reference), wide_rows(10_000, 1)
    print(f"Speed: {len(kinds)} columns, {reference_rows:,} reference rows, windows {plan_of(policy, kinds).sizes}")
    print(f"  reference prepared in {seconds(lambda: Reference.read(reference, kinds)):.2f} s, once")
    watch = Watch(kinds, policy, Reference.read(reference, kinds))
    rows = read_rows(stream, kinds)
    watch.observe(rows.part(0, 1000))
    looks = rows.count // policy.every
    our_look_s = min(seconds(lambda: watch.observe(rows)) for _ in range(3)) / looks
    naive = PlainScipy(reference, policy)
    windows = [stream[start : start + policy.window] for start in range(0, 1200, 400)]
    plain_look_s = min(seconds(lambda window=window: naive.look(window)) for window in windows)  # type: ignore[misc]  # bound by default
    print(f"  a look:  ours {our_look_s * 1e3:.2f} ms   SciPy {plain_look_s * 1e3:,.0f} ms")
    print(f"  rows/s:  ours {policy.every / our_look_s:,.0f}   SciPy {policy.every / plain_look_s:,.0f}")
    with tempfile.TemporaryDirectory() as home:
        monitor = EmbeddedMonitoring(Setting(home=Path(home)))
        monitor.start("speed", reference, kinds, policy)
        for batch in (1, 25, 1000):
            count = min(stream.height, batch * 200)
            parts = [stream[start : start + batch] for start in range(0, count, batch)]
            took = seconds(lambda parts=parts: [monitor.observe("speed", part) for part in parts])  # type: ignore[misc]  # bound by default
            print(f"  rows/s, durable, {batch} rows at once:  ours {count / took:,.0f}")
        monitor.close()


def compare_false_alarms(streams: int, our_streams: int) -> None:
    policy = Policy(false_alarms_per_million=1000.0)
    print(f"\nFalse alarms per million under a policy of {policy.false_alarms_per_million:.0f}, 7 mixed columns")
    print(
        f"  {'':8}{'reference':>10}{'stream':>20}{'predictions':>13}{'alarms':>8}{'per million':>13}{'95 % limits':>16}"
    )
    for reference_rows in (200, 2000, 20_000):
        for source in ("new", "from the reference"):
            _false_alarms("ours", our_streams, reference_rows, source, policy)
    for source in ("new", "from the reference"):
        _false_alarms("SciPy", streams, 2000, source, policy)


def _false_alarms(side: str, streams: int, reference_rows: int, source: str, policy: Policy) -> None:
    alarms = 0
    for seed in range(streams):
        reference = mixed_rows(reference_rows, seed)
        stream = (
            mixed_rows(STREAM_ROWS, 10_000 + seed)
            if source == "new"
            else reference.sample(STREAM_ROWS, with_replacement=True, seed=seed)
        )
        alarms += sum(1 for _ in SIDES[side](reference, policy)(stream))
    predictions = streams * STREAM_ROWS
    per_million = 1e6 / predictions
    low = stats.chi2.ppf(0.025, 2 * alarms) / 2 * per_million if alarms else 0.0
    high = stats.chi2.ppf(0.975, 2 * alarms + 2) / 2 * per_million
    limits = f"{low:,.0f}-{high:,.0f}"
    print(
        f"  {side:8}{reference_rows:>10,}{source:>20}{predictions:>13,}{alarms:>8}"
        f"{alarms * per_million:>13,.0f}{limits:>16}"
    )


def changes() -> dict[str, tuple[Callable[[int, int], np.ndarray], Callable[[np.ndarray, int], np.ndarray]]]:
    """Name -> (draw of so many rows with a seed, what happens to rows with a seed)."""

    def winds(rows: int, seed: int) -> np.ndarray:
        return np.round(np.random.default_rng(seed).gamma(4, 2.3, rows)) * 1.15078

    def normal(rows: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=rows)

    def missing(share: float) -> Callable[[np.ndarray, int], np.ndarray]:
        return lambda x, seed: np.where(np.random.default_rng(seed).random(len(x)) < share, np.nan, x)

    one_percent = missing(0.01)
    return {
        "wind x 0.447 (mph to m/s)": (winds, lambda x, seed: x * 0.44704),
        "mean shifted by 0.25 sd": (normal, lambda x, seed: x + 0.25),
        "missing 1 % -> 10 %": (
            lambda rows, seed: one_percent(normal(rows, seed), seed + 1),
            lambda x, seed: missing(0.0918)(x, seed + 2),
        ),
    }


def compare_delays(repeats: int) -> None:
    all_columns = plan_of(Policy(), kinds_of(wide_rows(1, 0)))
    one = plan_of(Policy(), {"x": ColumnKind.NUMERIC})
    policy = replace(Policy(), false_alarms_per_million=10.0 * all_columns.threshold / one.threshold)
    print(f"\nPredictions from a change to its finding, p < {all_columns.threshold:.1e}, {repeats} repeats each")
    print(f"  {'':28}{'':8}{'median':>8}{'max':>8}{'not in ' + format(HORIZON, ','):>14}")
    for name, (draw, change) in changes().items():
        reference = pl.DataFrame({"x": draw(10_000, 0)})
        for side, make in SIDES.items():
            delays = [_delay(make(reference, policy), draw, change, seed) for seed in range(1, repeats + 1)]
            found = [delay for delay in delays if delay is not None]
            median, longest = (statistics.median(found), max(found)) if found else (float("nan"), float("nan"))
            print(f"  {name:28}{side:8}{median:>8.0f}{longest:>8.0f}{len(delays) - len(found):>14}")


def _delay(
    findings: Callable[[pl.DataFrame], Iterator[tuple[int, int]]],
    draw: Callable[[int, int], np.ndarray],
    change: Callable[[np.ndarray, int], np.ndarray],
    seed: int,
) -> int | None:
    """The change comes at a random place between two looks, after a full window."""
    begin = 400 + seed % 25
    values = np.concatenate([draw(begin, 1000 * seed), change(draw(HORIZON, 1000 * seed + 1), 1000 * seed)])
    return next((stop - begin for stop, _ in findings(pl.DataFrame({"x": values})) if stop > begin), None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Noticing drift beside plain SciPy.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    compare_speed(10_000 if quick else 100_000)
    compare_false_alarms(2 if quick else 10, 5 if quick else 100)
    compare_delays(5 if quick else 100)


if __name__ == "__main__":
    main()
