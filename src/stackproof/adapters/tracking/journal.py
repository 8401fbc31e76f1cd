"""Tracking in one file of records for each run, appended to: the base of tools that are files, without a registry."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, ParamSpec, TypeVar

from stackproof.adapters.tracking.content import content_of, fetched
from stackproof.adapters.tracking.escaping import escaped
from stackproof.adapters.tracking.exclusion import Exclusion
from stackproof.adapters.tracking.journal_folder import Codec, Folder, folders_below, to_seconds
from stackproof.adapters.tracking.refusals import another_value, check_end, check_params, ended, no_artifact, no_run
from stackproof.adapters.tracking.searching import selected
from stackproof.adapters.tracking.texts import (
    checked_name,
    checked_relative,
    checked_run_id,
    checked_tags,
    checked_text,
)
from stackproof.errors import (
    Conflict,
    Corrupted,
    RefusedInput,
    StackproofError,
    is_full,
    not_written,
)
from stackproof.roles.tracking import Artifact, Metric, Param, Run, RunStatus
from stackproof.store.files import sync

NAME_BYTES = 150
WAITING_BYTES = 1 << 18
SHOWN_AFTER_S = 1.0
_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def mapped(method: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """The method, with every error of the file system turned into one of ours."""

    @wraps(method)
    def call(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            what = "The disk is full" if is_full(error) else "The files can't be reached"
            raise not_written(what, error) from error

    return call


class JournalTracking:
    """ "write-runs" and "read-runs" of `roles.tracking`: a folder "experiment/run" below `root`, artifacts in `files`.

    A subclass gives the codec, and what else its tool is told. Any process may append, one at a time.
    """

    pattern: ClassVar[str]

    def __init__(self, root: Path, files: Path, lock: Path) -> None:
        self._root = root
        self._files = files
        self._exclusion = Exclusion(lock)
        self._folders: dict[str, Folder] = {}
        self._unsynced: set[Path] = set()
        self._running: set[str] = set()
        self._accepting = threading.Lock()
        self._waiting: dict[str, bytearray] = {}
        self._written_at = time.monotonic()
        self._last_start = datetime.min.replace(tzinfo=UTC)
        self._closed = False

    # what a tool adds

    @property
    def _codec(self) -> Codec:
        raise NotImplementedError

    def _file_name(self, at: datetime) -> str:
        """Of a new run."""
        raise NotImplementedError

    def _check_metric(self, name: str) -> None:
        """Raises `RefusedInput` for a name that the tool can't take."""

    def _tell_end(self, folder: Folder, at: datetime, status: RunStatus) -> bytes:
        """Records before the last one, or what the tool is told of a run that ends. Raises, and it has not ended."""
        return b""

    def _foreign_place(self, name: str) -> list[Path]:
        """Where the run may lie that others wrote."""
        return []

    @mapped
    def close(self) -> None:
        """Flush, and release."""
        if not self._closed:
            self.flush()
            self._closed = True

    # write-runs

    @mapped
    def start_run(
        self,
        experiment: str,
        *,
        run_id: str,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """See `RunWriter.start_run`."""
        checked_run_id(run_id)
        note = {
            "run": run_id,
            "experiment": checked_name("experiment", experiment),
            "name": checked_text("run's name", name),
            "tags": checked_tags(tags or {}),
        }
        path = self._root / folder_name(experiment) / folder_name(run_id.removeprefix("run:"))
        with self._exclusively():
            found = self._find(run_id)
            if found is not None:
                return found.run()
            self._last_start = at = max(datetime.now(UTC), self._last_start)
            path.mkdir(parents=True, exist_ok=True)
            file = path / self._file_name(at)
            file.write_bytes(self._codec.first(at) + self._codec.note("run", at, {**note, "at": to_seconds(at)}))
            self._unsynced.update((file, path, path.parent, self._root))
            self._folders[run_id] = Folder(path, self._root, self.pattern)
            return self._folders[run_id].refresh(self._codec).run()

    @mapped
    def log_params(self, run_id: str, params: Mapping[str, Param]) -> None:
        """See `RunWriter.log_params`."""
        check_params(params)
        for name, value in params.items():
            checked_name("parameter's name", name)
            checked_text("parameter", str(value))
        with self._exclusively():
            folder = self._writable(run_id)
            for name, value in params.items():
                known = folder.params.get(name, value)
                if (type(known), repr(known)) != (type(value), repr(value)):
                    raise another_value(run_id, name, value, repr(known))
            self._append(folder, self._codec.note("params", datetime.now(UTC), dict(params)))

    @mapped
    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See `RunWriter.log_metrics`. In the file after a second or some thousand points, durable after `flush`."""
        for metric in metrics:
            checked_name("metric's name", metric.name)
            self._check_metric(metric.name)
            if not -(2**63) <= metric.step < 2**63:
                raise RefusedInput("A step has 64 bits", got=metric.step, allowed="-2^63 to 2^63 - 1")
        data = b"".join(self._codec.point(metric) for metric in metrics)
        if run_id not in self._running or self._closed:
            with self._exclusively():
                self._writable(run_id)
                self._running.add(run_id)
        with self._accepting:
            waiting = self._waiting.setdefault(run_id, bytearray())
            waiting += data
            late = len(waiting) > WAITING_BYTES or time.monotonic() - self._written_at > SHOWN_AFTER_S
        if late:
            self._write_waiting()

    @mapped
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `RunWriter.set_tags`."""
        note = checked_tags(tags)
        with self._exclusively():
            self._append(self._writable(run_id), self._codec.note("tags", datetime.now(UTC), note))

    @mapped
    def log_artifact(self, run_id: str, name: str, path: Path) -> Artifact:
        """See `RunWriter.log_artifact`."""
        place = checked_relative(name)
        with self._exclusively():
            folder = self._writable(run_id)
            content = content_of(path)
            kept = f"{hashed(run_id)}/{hashed(place)}-{content.digest[7:23]}"
            before = folder.artifacts.get(place)
            self._keep(path, self._files / kept, is_file=content.is_file)
            artifact = Artifact(place, content.digest, content.size)
            note = {"name": place, "digest": content.digest, "size": content.size, "place": kept}
            self._append(folder, self._codec.note("artifact", datetime.now(UTC), note))
            if before is not None and before[1] != kept:
                _remove(self._files / before[1])
        return artifact

    @mapped
    def end_run(self, run_id: str, status: RunStatus) -> Run:
        """See `RunWriter.end_run`."""
        check_end(status)
        with self._exclusively():
            self._running.discard(run_id)
            folder = self._get(run_id)
            if folder.run().status is not status:
                self._write(run_id)
                folder = self._writable(run_id)
                started_at = folder.run().started_at
                at = max(datetime.now(UTC), started_at)
                end = self._codec.note("end", at, {"status": status.value, "at": to_seconds(at)})
                self._append(folder, self._tell_end(folder, at, status) + end)
            run = folder.run()
        self.flush()
        return run

    @mapped
    def flush(self) -> None:
        """See `RunWriter.flush`."""
        self._write_waiting()
        with self._exclusively():
            for path in sorted(self._unsynced):
                sync(path)
            self._unsynced.clear()

    # read-runs

    @mapped
    def get_run(self, run_id: str) -> Run:
        """See `RunReader.get_run`."""
        with self._exclusively():
            return self._get(run_id).run()

    @mapped
    def search_runs(
        self,
        experiment: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        order_by_metric: str | None = None,
        descending: bool = True,
        limit: int = 100,
    ) -> list[Run]:
        """See `RunReader.search_runs`. Reads what was not read before."""
        with self._exclusively():
            runs = [self._read(path).run() for path in folders_below(self._root, self.pattern)]
        runs.sort(key=lambda run: run.started_at, reverse=True)
        return selected(runs, experiment, tags, order_by_metric, descending=descending, limit=limit)

    @mapped
    def metric_history(self, run_id: str, name: str) -> list[Metric]:
        """See `RunReader.metric_history`."""
        with self._exclusively():
            return self._get(run_id).history(name)

    @mapped
    def list_artifacts(self, run_id: str) -> list[Artifact]:
        """See `RunReader.list_artifacts`."""
        with self._exclusively():
            return [artifact for _, (artifact, _) in sorted(self._get(run_id).artifacts.items())]

    @mapped
    def fetch_artifact(self, run_id: str, name: str, into: Path) -> Path:
        """See `RunReader.fetch_artifact`."""
        place = checked_relative(name)
        with self._exclusively():
            kept = self._get(run_id).artifacts.get(place)
        if kept is None:
            raise no_artifact(run_id, name)
        source = self._files / kept[1]
        if not source.exists():
            raise Corrupted("An artifact that was logged is gone", got=source)

        def copied(folder: Path) -> Path:
            _copy(source, folder / "content", is_file=source.is_file())
            return folder / "content"

        return fetched(into / Path(place).name, kept[0].digest, copied)

    # folders

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._closed:
            raise Conflict("This tracking was closed")
        with self._exclusion():
            yield

    def _get(self, run_id: str) -> Folder:
        found = self._find(run_id)
        if found is None:
            raise no_run(run_id)
        return found

    def _find(self, run_id: str) -> Folder | None:
        known = self._folders.get(run_id)
        if known is not None and known.path.exists():
            return known.refresh(self._codec)
        name = run_id.removeprefix("run:")
        places = (*self._root.glob(f"*/{_literal(folder_name(name))}"), *self._foreign_place(name))
        for path in places:
            if any(path.glob(self.pattern)):
                folder = self._read(path)
                if folder.id == run_id:
                    return folder
        return None

    def _read(self, path: Path) -> Folder:
        known = next((folder for folder in self._folders.values() if folder.path == path), None)
        folder = (known or Folder(path, self._root, self.pattern)).refresh(self._codec)
        self._folders[folder.id] = folder
        return folder

    def _writable(self, run_id: str) -> Folder:
        folder = self._get(run_id)
        if not folder.start:
            raise Conflict(f"The run {run_id} was not started by Stackproof, which only reads it", got=folder.path)
        status = folder.run().status
        if status is not RunStatus.RUNNING:
            raise ended(run_id, status.value)
        return folder

    def _write_waiting(self) -> None:
        """Raises `Conflict` for a run that another process ended: its points are given up, those of others are not."""
        problems: list[StackproofError] = []
        self._written_at = time.monotonic()
        with self._accepting:
            runs = list(self._waiting)
        for run_id in runs:
            try:
                self._write(run_id)
            except StackproofError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]

    def _write(self, run_id: str) -> None:
        with self._exclusively():
            with self._accepting:
                data = bytes(self._waiting.pop(run_id, b""))
            if not data:
                return
            try:
                self._append(self._writable(run_id), data)
            except OSError:
                with self._accepting:
                    self._waiting[run_id] = bytearray(data) + self._waiting.get(run_id, b"")
                raise
            except StackproofError:
                self._running.discard(run_id)
                raise

    def _append(self, folder: Folder, data: bytes) -> None:
        """Add records under the lock, in place of one that a killed process left torn."""
        path = folder.file
        with path.open("r+b") as file:
            file.truncate(folder.offsets[path])
            file.seek(folder.offsets[path])
            file.write(data)
        self._unsynced.add(path)
        folder.refresh(self._codec)

    def _keep(self, source: Path, target: Path, *, is_file: bool) -> None:
        """A durable copy, whole or not there."""
        unfinished = target.with_name(f"{target.name}.unfinished")
        _remove(unfinished)
        _copy(source, unfinished, is_file=is_file)
        sync_below(unfinished)
        _remove(target)
        unfinished.rename(target)
        for above in (target.parent, self._files, self._files.parent):
            sync(above)


def sync_below(path: Path) -> None:
    """Make a file, or a folder with all below it, durable."""
    for folder, _, names in os.walk(path):
        for name in names:
            sync(Path(folder) / name)
        sync(Path(folder))
    if path.is_file():
        sync(path)


def _copy(source: Path, target: Path, *, is_file: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_file:
        shutil.copyfile(source, target)
    else:
        shutil.copytree(source, target, copy_function=shutil.copyfile)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_name(name: str) -> str:
    """A name as a folder can have it: the same where it can, and not too long."""
    safe = escaped(name, lambda character: not (character.isalnum() or character in "_-. +="))
    if safe.startswith(".") or len(safe.encode()) > NAME_BYTES or safe != safe.strip():
        readable = "".join(character for character in name if character.isascii() and character.isalnum())
        return f"{readable[:40]}-{hashed(name)}"
    return safe


def hashed(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:16]


def _literal(name: str) -> str:
    return name.replace("[", "[[]")
