"""Tracking beside raw SQLite, on the same work with the same durability, both sides in one command.

    python -m benchmarks.tracking_writes [--quick]

Raw SQLite: WAL, `synchronous=FULL`, one process, one connection, no checks, statements written for this
very work. Each figure is the median of three rounds; in each round the two sides take turns.
"""

import argparse
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from stackproof.adapters.tracking.embedded import EmbeddedTracking
from stackproof.roles.adapter import Setting
from stackproof.roles.tracking import Metric, RunStatus

ROUNDS = 3
BATCH = 1_000
AT = datetime(2026, 1, 1, tzinfo=UTC)
AT_US = int(AT.timestamp() * 1_000_000)


@dataclass(frozen=True, slots=True)
class Size:
    """How much of each kind of work."""

    points: int
    single_calls: int
    durable_calls: int
    runs: int


class Side(Protocol):
    """One of the two that are compared."""

    def batched(self, points: int) -> None: ...
    def single(self, calls: int) -> None: ...
    def durable(self, calls: int) -> None: ...
    def runs(self, count: int) -> None: ...
    def best(self) -> object: ...
    def history(self) -> object: ...
    def close(self) -> None: ...


class Ours:
    """The embedded tracking."""

    def __init__(self, home: Path) -> None:
        self._tracking = EmbeddedTracking(Setting(home=home))
        for run in ("run:batched", "run:single", "run:durable"):
            self._tracking.start_run("points", run_id=run)

    def batched(self, points: int) -> None:
        for start in range(0, points, BATCH):
            steps = range(start, start + BATCH)
            self._tracking.log_metrics("run:batched", [Metric("loss", step / 7, step, AT) for step in steps])
        self._tracking.flush()

    def single(self, calls: int) -> None:
        for step in range(calls):
            self._tracking.log_metrics("run:single", [Metric("loss", step / 7, step, AT)])
        self._tracking.flush()

    def durable(self, calls: int) -> None:
        for step in range(calls):
            self._tracking.log_metrics("run:durable", [Metric("loss", step / 7, step, AT)])
            self._tracking.flush()

    def runs(self, count: int) -> None:
        for number in range(count):
            run = f"run:{number}"
            self._tracking.start_run("runs", run_id=run, tags={f"tag{i}": str(number) for i in range(5)})
            self._tracking.log_params(run, {f"param{i}": i * number for i in range(20)})
            self._tracking.log_metrics(run, [Metric(f"metric{i}", number / (i + 1), 0, AT) for i in range(50)])
            self._tracking.end_run(run, RunStatus.FINISHED)

    def best(self) -> object:
        return [run.id for run in self._tracking.search_runs("runs", order_by_metric="metric7", limit=10)]

    def history(self) -> object:
        return len(self._tracking.metric_history("run:batched", "loss"))

    def close(self) -> None:
        self._tracking.close()


RAW_TABLES = """
    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE runs (id TEXT PRIMARY KEY, experiment TEXT, status TEXT, started_at INTEGER, ended_at INTEGER);
    CREATE TABLE params (run TEXT, name TEXT, value TEXT, PRIMARY KEY (run, name));
    CREATE TABLE tags (run TEXT, name TEXT, value TEXT, PRIMARY KEY (run, name));
    CREATE TABLE points (run TEXT, name TEXT, step INTEGER, value REAL, at INTEGER);
    CREATE INDEX by_run ON points (run, name, step);
    CREATE INDEX by_value ON points (name, value);
"""
POINT = "INSERT INTO points VALUES (?, ?, ?, ?, ?)"


class Raw:
    """SQLite by hand."""

    def __init__(self, home: Path) -> None:
        self._connection = sqlite3.connect(home / "raw.db", isolation_level=None)
        self._connection.executescript(RAW_TABLES)

    def batched(self, points: int) -> None:
        for start in range(0, points, BATCH):
            rows = [("batched", "loss", step, step / 7, AT_US) for step in range(start, start + BATCH)]
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(POINT, rows)
            self._connection.execute("COMMIT")

    def single(self, calls: int) -> None:
        for step in range(calls):
            if step % BATCH == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(POINT, ("single", "loss", step, step / 7, AT_US))
            if step % BATCH == BATCH - 1 or step == calls - 1:
                self._connection.execute("COMMIT")

    def durable(self, calls: int) -> None:
        for step in range(calls):
            self._connection.execute(POINT, ("durable", "loss", step, step / 7, AT_US))

    def runs(self, count: int) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        for number in range(count):
            run = f"run:{number}"
            execute("BEGIN IMMEDIATE")
            execute("INSERT INTO runs VALUES (?, 'runs', 'finished', ?, ?)", (run, AT_US, AT_US))
            executemany("INSERT INTO tags VALUES (?, ?, ?)", [(run, f"tag{i}", str(number)) for i in range(5)])
            executemany("INSERT INTO params VALUES (?, ?, ?)", [(run, f"param{i}", str(i * number)) for i in range(20)])
            executemany(POINT, [(run, f"metric{i}", 0, number / (i + 1), AT_US) for i in range(50)])
            execute("COMMIT")

    def best(self) -> object:
        """The ten runs, each with all that belongs to it."""
        query = "SELECT run FROM points WHERE name = 'metric7' ORDER BY value DESC LIMIT 10"
        found = [run for (run,) in self._connection.execute(query)]
        for run in found:
            for table in ("runs WHERE id", "params WHERE run", "tags WHERE run", "points WHERE run"):
                self._connection.execute(f"SELECT * FROM {table} = ?", (run,)).fetchall()
        return found

    def history(self) -> object:
        query = "SELECT step, value, at FROM points WHERE run = 'batched' AND name = 'loss' ORDER BY step"
        return len(self._connection.execute(query).fetchall())

    def close(self) -> None:
        self._connection.close()


def work(size: Size) -> dict[str, Callable[[Side], object]]:
    """What is measured, in the order in which it is done."""
    return {
        f"{size.points:,} points, {BATCH:,} a call": lambda side: side.batched(size.points),
        f"{size.single_calls:,} points, 1 a call, durable at the end": lambda side: side.single(size.single_calls),
        f"{size.durable_calls:,} points, 1 a call, each durable": lambda side: side.durable(size.durable_calls),
        f"{size.runs:,} runs of 20 params, 50 metrics, 5 tags": lambda side: side.runs(size.runs),
        "best 10 runs by a metric": lambda side: side.best(),
        f"history of {size.points:,} points": lambda side: side.history(),
    }


def measure(folder: Path, size: Size) -> dict[str, tuple[float, float]]:
    """Seconds for each piece of work: ours, raw; medians."""
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in work(size)}
    for number in range(ROUNDS):
        home = folder / str(number)
        home.mkdir()
        sides: tuple[Side, Side] = (Ours(home), Raw(home))
        for turn, (name, do) in enumerate(work(size).items()):
            answers = {}
            for which in (0, 1) if (turn + number) % 2 == 0 else (1, 0):
                started = time.perf_counter()
                answers[which] = do(sides[which])
                seconds[name][which].append(time.perf_counter() - started)
            assert answers[0] == answers[1], f"{name}: {answers}"
        for side in sides:
            side.close()
        shutil.rmtree(home)
    return {name: (statistics.median(ours), statistics.median(raw)) for name, (ours, raw) in seconds.items()}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Embedded tracking beside raw SQLite, WAL, synchronous=FULL.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args(arguments)
    size = Size(10_000, 10_000, 100, 20) if options.quick else Size(100_000, 100_000, 1_000, 200)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), size)
    print(f"SQLite {sqlite3.sqlite_version}, median of {ROUNDS} rounds, in {Path(folder).parent}\n")
    print(f"{'':58}{'ours s':>10}{'raw s':>10}{'ours/raw':>10}")
    for name, (ours, raw) in found.items():
        print(f"{name:58}{ours:10.4f}{raw:10.4f}{ours / raw:10.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
