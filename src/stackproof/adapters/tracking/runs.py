"""Reading and finding the runs of the embedded tracking."""

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from stackproof.adapters.tracking.refusals import ended, no_run
from stackproof.roles.tracking import Param, Run, RunStatus
from stackproof.store.instants import from_us


def number_of(connection: sqlite3.Connection, run_id: str) -> int:
    """The row number of a run. Raises `NotFound`."""
    row = connection.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise no_run(run_id)
    return int(row[0])


def writable(connection: sqlite3.Connection, run_id: str) -> int:
    """The row number of a run that has not ended. Raises `NotFound`, `Conflict`."""
    row = connection.execute("SELECT number, status FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise no_run(run_id)
    if row[1] != RunStatus.RUNNING:
        raise ended(run_id, row[1])
    return int(row[0])


def read_runs(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Run]:
    """The runs with these row numbers, in their order."""
    wanted = json.dumps(list(numbers))
    params: dict[int, dict[str, Param]] = {number: {} for number in numbers}
    tags: dict[int, dict[str, str]] = {number: {} for number in numbers}
    metrics: dict[int, dict[str, float]] = {number: {} for number in numbers}
    for run, name, text in connection.execute(_OF_RUNS.format("name, value", "run_params"), (wanted,)):
        params[run][name] = json.loads(text)
    for run, name, text in connection.execute(_OF_RUNS.format("name, value", "run_tags"), (wanted,)):
        tags[run][name] = text
    for run, name, value in connection.execute(_OF_RUNS.format("name, last_value", "metric_series"), (wanted,)):
        metrics[run][name] = math.nan if value is None else value
    found = {
        row[0]: _run(row, params[row[0]], metrics[row[0]], tags[row[0]]) for row in connection.execute(_RUNS, (wanted,))
    }
    return [found[number] for number in numbers]


_OF_RUNS = "SELECT run, {} FROM {} WHERE run IN (SELECT value FROM json_each(?)) ORDER BY name"
_RUNS = """SELECT number, id, experiment, name, status, started_at, ended_at FROM runs
    WHERE number IN (SELECT value FROM json_each(?))"""


def _run(
    row: tuple[Any, ...], params: Mapping[str, Param], metrics: Mapping[str, float], tags: Mapping[str, str]
) -> Run:
    _number, id, experiment, name, status, started_at, ended_at = row
    return Run(
        id=id,
        experiment=experiment,
        name=name,
        status=RunStatus(status),
        started_at=from_us(started_at),
        ended_at=None if ended_at is None else from_us(ended_at),
        params=params,
        metrics=metrics,
        tags=tags,
    )


def find_runs(
    connection: sqlite3.Connection,
    experiment: str | None,
    tags: Mapping[str, str],
    limit: int,
) -> list[int]:
    """The row numbers of runs, newest first."""
    condition, arguments = _condition(experiment, tags)
    query = f"SELECT number FROM runs WHERE {condition} ORDER BY number DESC LIMIT ?"  # noqa: S608  # built from constants
    return [number for (number,) in connection.execute(query, (*arguments, limit))]


def find_runs_by_metric(
    connection: sqlite3.Connection,
    experiment: str | None,
    tags: Mapping[str, str],
    metric: str,
    *,
    descending: bool,
    limit: int,
) -> list[int]:
    """The row numbers by the metric's last value; those without it or with NaN last, newest first."""
    condition, arguments = _condition(experiment, tags)
    direction = "DESC" if descending else "ASC"
    with_value = f"""SELECT runs.number FROM metric_series JOIN runs ON runs.number = metric_series.run
        WHERE metric_series.name = ? AND last_value IS NOT NULL AND {condition}
        ORDER BY last_value {direction}, runs.number DESC LIMIT ?"""  # noqa: S608  # built from constants
    found = [number for (number,) in connection.execute(with_value, (metric, *arguments, limit))]
    without = f"""SELECT number FROM runs WHERE {condition} AND NOT EXISTS (
            SELECT 1 FROM metric_series WHERE run = runs.number AND name = ? AND last_value IS NOT NULL)
        ORDER BY number DESC LIMIT ?"""  # noqa: S608  # built from constants
    if len(found) < limit:
        rows = connection.execute(without, (*arguments, metric, limit - len(found)))
        found += [number for (number,) in rows]
    return found


def _condition(experiment: str | None, tags: Mapping[str, str]) -> tuple[str, list[str]]:
    conditions, arguments = ["TRUE"], []
    if experiment is not None:
        conditions.append("runs.experiment = ?")
        arguments.append(experiment)
    for name, value in tags.items():
        conditions.append(
            "EXISTS (SELECT 1 FROM run_tags AS t WHERE t.run = runs.number AND t.name = ? AND t.value = ?)"
        )
        arguments += [name, value]
    return " AND ".join(conditions), arguments
