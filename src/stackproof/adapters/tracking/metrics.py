"""The points of metrics in the embedded tracking, and the last value of each series."""

import json
import math
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from stackproof.errors import RefusedInput
from stackproof.roles.tracking import Metric
from stackproof.store.instants import from_us, to_us

Point: TypeAlias = tuple[int, float | None, int]
Points: TypeAlias = dict[str, list[Point]]

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def by_name(metrics: Iterable[Metric]) -> Points:
    """The points of each metric as (step, value, at), in order. Raises `RefusedInput` for a wrong one."""
    points: Points = {}
    for metric in metrics:
        value = float(metric.value)
        if not _SMALLEST <= metric.step <= _LARGEST:
            raise RefusedInput("A metric's step is out of range", got=metric.step, allowed="64-bit integers")
        point = (int(metric.step), None if math.isnan(value) else value, to_us(metric.at))
        points.setdefault(metric.name, []).append(point)
    return points


class Unwritten:
    """Points of one run that were accepted and not yet written: calls that come fast become one write."""

    def __init__(self, run_id: str, points: Points) -> None:
        self.run_id = run_id
        self._points = points
        self._lock = threading.Lock()
        self._taken = False

    def add(self, run_id: str, points: Points) -> bool:
        """Take more points along. False when it is too late, or for another run."""
        with self._lock:
            if self._taken or run_id != self.run_id:
                return False
            for name, some in points.items():
                self._points.setdefault(name, []).extend(some)
            return True

    def take(self) -> Points:
        """All points, to be written now; later ones are refused from here on."""
        with self._lock:
            self._taken = True
            return self._points


def write_points(connection: sqlite3.Connection, run: int, points: Points) -> None:
    """Append points to the series of a run, inside the caller's transaction."""
    series = _series(connection, run, points)
    for name in points.keys() - series.keys():
        new = connection.execute(
            "INSERT INTO metric_series (run, name, points, last_step) VALUES (?, ?, 0, ?)", (run, name, _SMALLEST)
        )
        series[name] = (int(new.lastrowid or 0), 0, _SMALLEST)
    rows: list[tuple[int, int, int, float | None, int]] = []
    for name, some in points.items():
        number, count, last_step = series[name]
        rows += [(number, step, count + offset, value, at) for offset, (step, value, at) in enumerate(some)]
        _update_series(connection, number, last_step, some)
    connection.executemany("INSERT INTO metric_points VALUES (?, ?, ?, ?, ?)", rows)


def _series(connection: sqlite3.Connection, run: int, names: Iterable[str]) -> dict[str, tuple[int, int, int]]:
    query = """SELECT name, number, points, last_step FROM metric_series
        WHERE run = ? AND name IN (SELECT value FROM json_each(?))"""
    rows = connection.execute(query, (run, json.dumps(list(names))))
    return {name: (number, count, last_step) for name, number, count, last_step in rows}


def _update_series(connection: sqlite3.Connection, number: int, last_step: int, some: Sequence[Point]) -> None:
    step, value = max(enumerate(some), key=lambda it: (it[1][0], it[0]))[1][:2]
    if step >= last_step:
        connection.execute(
            "UPDATE metric_series SET points = points + ?, last_step = ?, last_value = ? WHERE number = ?",
            (len(some), step, value, number),
        )
    else:
        connection.execute("UPDATE metric_series SET points = points + ? WHERE number = ?", (len(some), number))


def read_points(connection: sqlite3.Connection, run: int, name: str) -> list[Metric]:
    """All points of a metric by step, then by order of writing; none is an empty list."""
    query = """SELECT step, value, at FROM metric_points
        WHERE series = (SELECT number FROM metric_series WHERE run = ? AND name = ?)
        ORDER BY step, point"""
    rows = connection.execute(query, (run, name))
    return [Metric(name, math.nan if value is None else value, step, from_us(at)) for step, value, at in rows]
