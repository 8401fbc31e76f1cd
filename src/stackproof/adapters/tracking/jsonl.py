"""Tracking in plain files: one of JSON lines for each run, readable with `cat` and `grep`.

The smallest adapter that keeps the contract. No registry: the embedded adapter fills that.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.tracking.refusals import another_value, check_end, check_params, ended, no_artifact, no_run
from stackproof.adapters.tracking.restoring import restored
from stackproof.adapters.tracking.searching import selected
from stackproof.adapters.tracking.texts import (
    checked_name,
    checked_relative,
    checked_run_id,
    checked_tags,
    checked_text,
)
from stackproof.errors import Conflict, Corrupted, NotFound
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tracking import Artifact, Metric, Param, Run, RunStatus
from stackproof.store import Blobs, sync_folder
from stackproof.store.failures import write_errors
from stackproof.store.instants import from_us, to_us
from stackproof.store.locking import WriterLock


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _State:
    """What a run's lines add up to, and up to which byte they were read."""

    offset: int = 0
    start: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)
    artifacts: dict[str, tuple[Artifact, str]] = field(default_factory=dict)

    def apply(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "start":
                self.start = dict(event)
                self.tags.update(event["tags"])
            case "params":
                self.params.update(event["params"])
            case "tags":
                self.tags.update(event["tags"])
            case "metrics":
                for name, value, step, at in event["metrics"]:
                    self.metrics.setdefault(name, []).append(Metric(name, value, step, from_us(at)))
            case "artifact":
                artifact = Artifact(event["name"], event["digest"], event["size"])
                self.artifacts[artifact.name] = (artifact, event["tree"])
            case "end":
                self.end = dict(event)

    def history(self, name: str) -> list[Metric]:
        return sorted(self.metrics.get(name, ()), key=lambda metric: metric.step)

    def run(self) -> Run:
        return Run(
            id=self.start["run"],
            experiment=self.start["experiment"],
            name=self.start["name"],
            status=RunStatus(self.end["status"]) if self.end else RunStatus.RUNNING,
            started_at=from_us(self.start["at"]),
            ended_at=from_us(self.end["at"]) if self.end else None,
            params=dict(self.params),
            metrics={name: self.history(name)[-1].value for name in sorted(self.metrics)},
            tags=dict(self.tags),
        )


class JsonLinesTracking:
    """ "write-runs" and "read-runs" of `roles.tracking`."""

    tool: ClassVar[str] = "jsonl"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs", "read-runs"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting, *, clock: Callable[[], datetime] = _now) -> None:
        self._folder = setting.home / "runs"
        self._folder.mkdir(exist_ok=True)
        self._blobs = Blobs(setting.home / "blobs")
        self._lock: WriterLock | None = WriterLock(setting.home / "runs")
        self._clock = clock
        self._states: dict[Path, _State] = {}
        self._unsynced: set[Path] = set()

    def health(self) -> Health:
        """Whether the folder can be written."""
        writable = self._lock is not None and os.access(self._folder, os.W_OK)
        return Health(writable, "1", f"{'writes' if writable else 'cannot write'} {self._folder}")

    def close(self) -> None:
        """Flush, and release."""
        if self._lock is not None:
            self.flush()
            self._lock.close()
            self._lock = None

    def start_run(
        self,
        experiment: str,
        *,
        run_id: str,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """See `RunWriter.start_run`."""
        event = {
            "event": "start",
            "run": checked_run_id(run_id),
            "experiment": checked_name("experiment", experiment),
            "name": checked_text("run's name", name),
            "at": to_us(self._clock()),
            "tags": checked_tags(tags or {}),
        }
        with self._exclusively():
            with suppress(NotFound):
                return self._read(run_id).run()
            event["number"] = sum(1 for _ in self._folder.iterdir())
            return self._append(run_id, event).run()

    def log_params(self, run_id: str, params: Mapping[str, Param]) -> None:
        """See `RunWriter.log_params`."""
        check_params(params)
        with self._exclusively():
            state = self._writable(run_id)
            for name, value in params.items():
                if name in state.params and json.dumps(state.params[name]) != json.dumps(value):
                    raise another_value(run_id, name, value, state.params[name])
            self._append(run_id, {"event": "params", "params": dict(params)})

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See `RunWriter.log_metrics`."""
        rows = [
            (checked_name("metric's name", metric.name), float(metric.value), int(metric.step), to_us(metric.at))
            for metric in metrics
        ]
        with self._exclusively():
            self._writable(run_id)
            self._append(run_id, {"event": "metrics", "metrics": rows})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `RunWriter.set_tags`."""
        with self._exclusively():
            self._writable(run_id)
            self._append(run_id, {"event": "tags", "tags": checked_tags(tags)})

    def log_artifact(self, run_id: str, name: str, path: Path) -> Artifact:
        """See `RunWriter.log_artifact`."""
        place = checked_relative(name)
        with self._exclusively():
            self._writable(run_id)
        tree = self._blobs.put_tree(path)
        digest = tree.files[0].digest if tree.is_file else tree.digest
        event = {"event": "artifact", "name": place, "digest": digest, "size": tree.size, "tree": tree.digest}
        with self._exclusively():
            self._writable(run_id)
            self._append(run_id, event)
        return Artifact(place, digest, tree.size)

    def end_run(self, run_id: str, status: RunStatus) -> Run:
        """See `RunWriter.end_run`."""
        check_end(status)
        with self._exclusively():
            state = self._read(run_id)
            if not state.end or state.end["status"] != status:
                self._writable(run_id)
                event = {"event": "end", "status": status.value, "at": max(to_us(self._clock()), state.start["at"])}
                state = self._append(run_id, event)
            run = state.run()
        self.flush()
        return run

    def flush(self) -> None:
        """See `RunWriter.flush`."""
        with self._exclusively():
            for path in sorted(self._unsynced):
                with write_errors(path), path.open("rb") as file:
                    os.fsync(file.fileno())
            if self._unsynced:
                sync_folder(self._folder)
            self._unsynced.clear()

    def get_run(self, run_id: str) -> Run:
        """See `RunReader.get_run`."""
        with self._exclusively():
            return self._read(run_id).run()

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
        with self._exclusively():
            states = [self._refresh(path) for path in self._folder.iterdir()]
        started = [state for state in states if state.start]
        started.sort(key=lambda state: -int(state.start["number"]))
        runs = (state.run() for state in started)
        return selected(runs, experiment, tags, order_by_metric, descending=descending, limit=limit)

    def metric_history(self, run_id: str, name: str) -> list[Metric]:
        """See `RunReader.metric_history`."""
        with self._exclusively():
            return self._read(run_id).history(name)

    def list_artifacts(self, run_id: str) -> list[Artifact]:
        """See `RunReader.list_artifacts`."""
        with self._exclusively():
            return [artifact for _, (artifact, _) in sorted(self._read(run_id).artifacts.items())]

    def fetch_artifact(self, run_id: str, name: str, into: Path) -> Path:
        """See `RunReader.fetch_artifact`."""
        place = checked_relative(name)
        with self._exclusively():
            kept = self._read(run_id).artifacts.get(place)
        if kept is None:
            raise no_artifact(run_id, name)
        return restored(self._blobs, kept[1], into / Path(place).name)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._lock is None:
            raise Conflict("This tracking was closed")
        with self._lock:
            yield

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{sha256(run_id.encode(errors='surrogatepass')).hexdigest()[:40]}.jsonl"

    def _read(self, run_id: str) -> _State:
        path = self._path(run_id)
        if not path.exists() or not (state := self._refresh(path)).start:
            raise no_run(run_id)
        return state

    def _writable(self, run_id: str) -> _State:
        state = self._read(run_id)
        if state.end:
            raise ended(run_id, state.end["status"])
        return state

    def _refresh(self, path: Path) -> _State:
        """Read the lines that were added since the last look; a last one without its end is not there yet."""
        state = self._states.setdefault(path, _State())
        if path.stat().st_size == state.offset:
            return state
        with path.open("rb") as file:
            file.seek(state.offset)
            added = file.read()
        complete, newline, _torn = added.rpartition(b"\n")
        for line in complete.splitlines() if newline else ():
            try:
                state.apply(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise Corrupted("A run's file is damaged", got=f"{path}: {line[:80]!r}") from error
        state.offset += len(complete) + len(newline)
        return state

    def _append(self, run_id: str, event: Mapping[str, Any]) -> _State:
        """Add one line under the lock, in place of one that a killed process left torn."""
        path = self._path(run_id)
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        with write_errors(path), path.open("ab") as file:
            known = self._states.get(path, _State()).offset
            if file.tell() != known:
                file.truncate(known)
            file.write(line)
        self._unsynced.add(path)
        return self._refresh(path)
