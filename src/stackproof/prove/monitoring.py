"""Monitoring: what watching costs, whether a planted change is found, and whether the rest stays quiet."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, factorial, log
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stackproof.errors import RefusedInput
from stackproof.prove.candidate import Opener, Running, Writer
from stackproof.prove.record import Record, timed
from stackproof.prove.scenario import Given
from stackproof.prove.tables import read_data
from stackproof.roles.monitoring import ColumnKind, Finding, Policy

NAME = "proof"
NUMERIC, MOST_COLUMNS = 8, 10
CHANCE = 1e-6
"""How rarely a tool that keeps the policy may be called wrong."""


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of the reference; observed ones before and after the change; rows a batch; the policy's window and pace."""

    reference: int
    quiet: int
    changed: int
    batch: int
    window: int
    every: int


SIZES = {
    "smoke": Size(2_000, 600, 600, 50, 200, 100),
    "medium": Size(10_000, 5_000, 2_000, 50, 400, 100),
    "full": Size(100_000, 50_000, 10_000, 50, 400, 100),
}


class MonitoringScenario:
    """Predictions of a service in batches; at one moment one column changes its unit."""

    name = "drift"
    needs = frozenset({"drift"})

    def __init__(self, size: str, given: Given) -> None:
        self._size = SIZES[size]
        self._policy = Policy(window=self._size.window, every=self._size.every)
        rows = self._size.reference + self._size.quiet + self._size.changed
        data = _of_the_user(given.data, rows) if given.data is not None else _made(rows)
        self._columns = _columns(data)
        self._reference = data.head(self._size.reference)
        quiet = data.slice(self._size.reference, self._size.quiet)
        self._changed_column = next(name for name, kind in self._columns.items() if kind is ColumnKind.NUMERIC)
        shifted = _shifted(data[self._changed_column])
        changed = data.with_columns(shifted).tail(self._size.changed)
        self._stream = pl.concat([quiet, changed])

    def round(self, running: Running, folder: Path, record: Record) -> None:
        monitor = running.adapter
        _, seconds = timed(lambda: self._first(monitor))
        record.figure("first_call", "s", seconds)
        _, seconds = timed(lambda: monitor.start(NAME, self._reference, self._columns, self._policy))
        record.figure("watch_start", "ms", 1e3 * seconds)
        found, taken = self._observe(monitor, 0)
        record.latencies("observe_batch", taken)
        record.rate("observed_rows", self._stream.height, sum(taken))
        position = monitor.position(NAME)
        record.check(
            position == self._stream.height, f"of {self._stream.height:,} rows {position:,} were counted as observed"
        )
        self._check_findings(found, record)
        if "performance" in monitor.capabilities:
            self._performance(monitor, record)

    def _first(self, monitor: Any) -> None:
        """Whatever a tool loads or makes when it is first used is done after this: one look under another name."""
        monitor.start("first", self._reference.head(100), self._columns, Policy(window=50, every=50))
        monitor.observe("first", self._reference.head(50))

    def _observe(self, monitor: Any, first: int) -> tuple[list[Finding], list[float]]:
        found: list[Finding] = []
        taken = []
        for start in range(first, self._stream.height, self._size.batch):
            batch = self._stream.slice(start, self._size.batch)
            began = time.perf_counter()
            found += monitor.observe(NAME, batch)
            taken.append(time.perf_counter() - began)
        return found, taken

    def _check_findings(self, found: list[Finding], record: Record) -> None:
        change = self._size.quiet
        early = [one for one in found if one.last < change]
        elsewhere = [one for one in found if one.last >= change and one.column != self._changed_column]
        expected = self._policy.false_alarms_per_million * self._stream.height / 1e6
        alarms = len(early) + len(elsewhere)
        record.figure("false_alarms", "1", alarms)
        record.check(
            alarms < improbable(expected),
            f"{alarms} alarms about {self._stream.height:,} rows in which nothing changed; "
            f"the policy allows {expected:.2g} on average",
        )
        true = [one for one in found if one.last >= change and one.column == self._changed_column]
        if record.check(bool(true), f"a column in another unit was not noticed in {self._size.changed:,} rows"):
            record.figure("noticed_after", "rows", min(one.last for one in true) - change + 1)

    def _performance(self, monitor: Any, record: Record) -> None:
        draw = np.random.default_rng(5)
        predictions = draw.uniform(0.01, 0.99, 1_000).tolist()
        labels = [bool(chance < p) for chance, p in zip(draw.random(1_000).tolist(), predictions, strict=True)]
        found = monitor.performance(predictions, labels)
        pairs = list(zip(predictions, labels, strict=True))
        log_loss = -sum(log(p if label else 1 - p) for p, label in pairs) / len(pairs)
        brier = sum((p - label) ** 2 for p, label in pairs) / len(pairs)
        right = abs(found.log_loss - log_loss) < 1e-9 and abs(found.brier - brier) < 1e-9
        record.check(right, "the log loss or the Brier score of known predictions is another")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        running = opened(home)
        monitor = running.adapter
        monitor.start(NAME, self._reference, self._columns, self._policy)
        size = self._size.batch
        writer = Writer(lambda n: monitor.observe(NAME, self._stream.slice(n * size, size)))
        reached, killed = writer.kill(running, 3)
        if not record.check(reached, f"rows could not be observed: {writer.error}"):
            return
        again = opened(home)
        self._go_on(again.adapter, writer, record)
        record.figure("recovery", "s", time.perf_counter() - killed)
        again.close()

    def _go_on(self, monitor: Any, writer: Writer, record: Record) -> None:
        """The position says where to go on from; the change that comes after it must still be noticed."""
        position, size = monitor.position(NAME), self._size.batch
        record.figure("acknowledged", "1", writer.acknowledged * size)
        record.figure("recovered", "1", min(position, writer.acknowledged * size))
        attempted = min(writer.attempted * size, self._stream.height)
        if not record.check(
            position <= attempted, f"after SIGKILL {position:,} rows count as observed, {attempted:,} were sent"
        ):
            return
        found, _ = self._observe(monitor, position)
        noticed = any(one.column == self._changed_column for one in found)
        enough = self._stream.height - position >= self._size.changed
        record.check(noticed or not enough, "after SIGKILL and going on from its position, a change is not noticed")


def improbable(expected: float, chance: float = CHANCE) -> int:
    """The smallest number of alarms that a Poisson law of that mean reaches with less than `chance`."""
    count, reached = 0, 1.0
    while reached >= chance:
        reached -= exp(-expected) * expected**count / factorial(count)
        count += 1
    return count


def _made(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(11)
    numbers = {f"n{i}": draw.gamma(2 + i, 3.0, rows).round(3) for i in range(NUMERIC)}
    carriers = draw.choice(["AA", "B6", "DL", "UA", "WN"], rows, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    origins = draw.choice(["EWR", "JFK", "LGA"], rows)
    return pl.DataFrame(numbers | {"carrier": carriers, "origin": origins})


def _shifted(column: pl.Series) -> pl.Series:
    """Everything one and a half times the middle half's width higher: a unit that was mixed up."""
    high, low = column.quantile(0.9), column.quantile(0.1)
    assert isinstance(high, float)
    assert isinstance(low, float)
    return (column.cast(pl.Float64) + 1.5 * (high - low)).alias(column.name)


def _columns(data: pl.DataFrame) -> Mapping[str, ColumnKind]:
    kinds = {True: ColumnKind.NUMERIC, False: ColumnKind.CATEGORICAL}
    return {name: kinds[kind.is_numeric()] for name, kind in data.schema.items()}


def _of_the_user(path: Path, rows: int) -> pl.DataFrame:
    """Numbers that vary, and texts with few values, in an order without a trend, drawn again where they are too few."""
    data = read_data(path)
    numbers = [
        name
        for name, kind in data.schema.items()
        if kind.is_numeric() and data[name].n_unique() > 10 and data[name].quantile(0.9) != data[name].quantile(0.1)
    ]
    texts = [name for name, kind in data.schema.items() if kind == pl.String and data[name].n_unique() <= 30]
    if not numbers:
        raise RefusedInput(f"{path.name} has nothing to watch", allowed="at least one column of numbers that vary")
    chosen = data.select([*numbers[:NUMERIC], *texts][:MOST_COLUMNS])
    floats = chosen.with_columns(pl.col(numbers[:NUMERIC]).cast(pl.Float64).fill_nan(None))
    return floats.sample(rows, with_replacement=rows > floats.height, shuffle=True, seed=3)
