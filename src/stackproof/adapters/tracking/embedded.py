"""Tracking and registry in the embedded store: no server, many processes, durable."""

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import ClassVar

from stackproof.adapters.tracking import models, runs
from stackproof.adapters.tracking.metrics import Unwritten, by_name, read_points, write_points
from stackproof.adapters.tracking.refusals import another_value, check_end, check_package, check_params, no_artifact
from stackproof.adapters.tracking.restoring import restored
from stackproof.adapters.tracking.schema import TRACKING_SCHEMA
from stackproof.adapters.tracking.texts import (
    checked_name,
    checked_relative,
    checked_run_id,
    checked_tags,
    checked_text,
)
from stackproof.errors import StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tracking import Artifact, Metric, ModelVersion, Param, Run, RunStatus
from stackproof.store import Store
from stackproof.store.instants import to_us


def _now() -> datetime:
    return datetime.now(UTC)


class EmbeddedTracking:
    """All of `roles.tracking`. Joins an enclosing transaction of the same store and thread."""

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs", "read-runs", "registry"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting, *, clock: Callable[[], datetime] = _now) -> None:
        self._store = Store.open(setting.home, TRACKING_SCHEMA)
        self._database = self._store.database
        self._clock = clock
        self._running: set[str] = set()
        self._accepting = threading.Lock()
        self._unwritten: Unwritten | None = None

    def health(self) -> Health:
        """Reads once."""
        version = f"SQLite {sqlite3.sqlite_version}"
        try:
            with self._database.read() as connection:
                (count,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        except StackproofError as failure:
            return Health(False, version, failure.what)
        return Health(True, version, f"{count} runs in {self._database.path}")

    def close(self) -> None:
        """Flush, and release."""
        self._store.close()

    # write-runs

    def start_run(
        self,
        experiment: str,
        *,
        run_id: str,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """See `RunWriter.start_run`."""
        row = (
            checked_run_id(run_id),
            checked_name("experiment", experiment),
            checked_text("run's name", name),
            RunStatus.RUNNING.value,
            to_us(self._clock()),
        )
        with self._database.transaction() as connection:
            new = connection.execute(
                """INSERT INTO runs (id, experiment, name, status, started_at) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT DO NOTHING""",
                row,
            )
            number = runs.number_of(connection, run_id)
            if new.rowcount:
                _set_tags(connection, number, tags or {})
            return runs.read_runs(connection, [number])[0]

    def log_params(self, run_id: str, params: Mapping[str, Param]) -> None:
        """See `RunWriter.log_params`."""
        check_params(params)
        new = {checked_name("parameter's name", name): dumps(value) for name, value in params.items()}
        with self._database.transaction() as connection:
            number = runs.writable(connection, run_id)
            known = dict(connection.execute("SELECT name, value FROM run_params WHERE run = ?", (number,)))
            for name, text in new.items():
                if known.get(name, text) != text:
                    raise another_value(run_id, name, text, known[name])
            rows = [(number, name, text) for name, text in new.items() if name not in known]
            connection.executemany("INSERT INTO run_params VALUES (?, ?, ?)", rows)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See `RunWriter.log_metrics`."""
        points = by_name(metrics)
        for name in points:
            checked_name("metric's name", name)
        if run_id not in self._running:
            with self._database.read() as connection:
                runs.writable(connection, run_id)
            self._running.add(run_id)
        if self._database.in_transaction:
            self._enqueue(Unwritten(run_id, points))
            return
        with self._accepting:
            if self._unwritten is None or not self._unwritten.add(run_id, points):
                unwritten = Unwritten(run_id, points)
                self._enqueue(unwritten)
                self._unwritten = unwritten

    def _enqueue(self, unwritten: Unwritten) -> None:
        self._database.enqueue(
            lambda connection: write_points(connection, runs.writable(connection, unwritten.run_id), unwritten.take())
        )

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `RunWriter.set_tags`."""
        with self._database.transaction() as connection:
            _set_tags(connection, runs.writable(connection, run_id), tags)

    def log_artifact(self, run_id: str, name: str, path: Path) -> Artifact:
        """See `RunWriter.log_artifact`."""
        place = checked_relative(name)
        with self._database.read() as connection:
            runs.writable(connection, run_id)
        tree = self._store.blobs.put_tree(path)
        digest = tree.files[0].digest if tree.is_file else tree.digest
        artifact = Artifact(place, digest, tree.size)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO run_artifacts VALUES (?, ?, ?, ?, ?)",
                (runs.writable(connection, run_id), place, digest, tree.size, tree.digest),
            )
        return artifact

    def end_run(self, run_id: str, status: RunStatus) -> Run:
        """See `RunWriter.end_run`."""
        check_end(status)
        self._running.discard(run_id)
        with self._database.transaction() as connection:
            number = runs.number_of(connection, run_id)
            run = runs.read_runs(connection, [number])[0]
            if run.status is status:
                return run
            number = runs.writable(connection, run_id)
            connection.execute(
                "UPDATE runs SET status = ?, ended_at = ? WHERE number = ?",
                (status.value, to_us(max(self._clock(), run.started_at)), number),
            )
            return runs.read_runs(connection, [number])[0]

    def flush(self) -> None:
        """See `RunWriter.flush`."""
        self._database.flush()

    # read-runs

    def get_run(self, run_id: str) -> Run:
        """See `RunReader.get_run`."""
        with self._database.read() as connection:
            return runs.read_runs(connection, [runs.number_of(connection, run_id)])[0]

    def search_runs(
        self,
        experiment: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        order_by_metric: str | None = None,
        descending: bool = True,
        limit: int = 100,
    ) -> list[Run]:
        """See `RunReader.search_runs`."""
        with self._database.read() as connection:
            if order_by_metric is None:
                numbers = runs.find_runs(connection, experiment, tags or {}, limit)
            else:
                numbers = runs.find_runs_by_metric(
                    connection, experiment, tags or {}, order_by_metric, descending=descending, limit=limit
                )
            return runs.read_runs(connection, numbers)

    def metric_history(self, run_id: str, name: str) -> list[Metric]:
        """See `RunReader.metric_history`."""
        with self._database.read() as connection:
            return read_points(connection, runs.number_of(connection, run_id), name)

    def list_artifacts(self, run_id: str) -> list[Artifact]:
        """See `RunReader.list_artifacts`."""
        query = "SELECT name, digest, size FROM run_artifacts WHERE run = ? ORDER BY name"
        with self._database.read() as connection:
            return [Artifact(*row) for row in connection.execute(query, (runs.number_of(connection, run_id),))]

    def fetch_artifact(self, run_id: str, name: str, into: Path) -> Path:
        """See `RunReader.fetch_artifact`."""
        query = "SELECT tree FROM run_artifacts WHERE run = ? AND name = ?"
        place = checked_relative(name)
        with self._database.read() as connection:
            row = connection.execute(query, (runs.number_of(connection, run_id), place)).fetchone()
        if row is None:
            raise no_artifact(run_id, name)
        return restored(self._store.blobs, row[0], into / Path(place).name)

    # registry

    def register_model(self, name: str, package: Path, *, run_id: str) -> ModelVersion:
        """See `Registry.register_model`."""
        checked_name("model's name", name)
        check_package(package)
        with self._database.read() as connection:
            runs.number_of(connection, run_id)
        tree = self._store.blobs.put_tree(package)
        with self._database.transaction() as connection:
            runs.number_of(connection, run_id)
            return models.add_model(connection, name, run_id, tree.digest, to_us(self._clock()))

    def get_model(self, name: str, version: int | str) -> ModelVersion:
        """See `Registry.get_model`."""
        with self._database.read() as connection:
            return models.read_model(connection, name, version)

    def list_models(self) -> list[ModelVersion]:
        """See `Registry.list_models`."""
        with self._database.read() as connection:
            return models.read_models(connection)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `Registry.set_alias`."""
        checked_name("alias", alias)
        with self._database.transaction() as connection:
            models.read_model(connection, name, version)
            connection.execute("INSERT OR REPLACE INTO model_aliases VALUES (?, ?, ?)", (name, alias, version))

    def fetch_model(self, name: str, version: int, into: Path) -> Path:
        """See `Registry.fetch_model`."""
        return restored(self._store.blobs, self.get_model(name, version).digest, into)


def _set_tags(connection: sqlite3.Connection, run: int, tags: Mapping[str, str]) -> None:
    rows = [(run, name, text) for name, text in checked_tags(tags).items()]
    connection.executemany("INSERT OR REPLACE INTO run_tags VALUES (?, ?, ?)", rows)
