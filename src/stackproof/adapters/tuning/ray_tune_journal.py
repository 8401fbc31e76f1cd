"""What is known of a study: one file of JSON lines, of which each is durable before the next trial begins."""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stackproof.errors import Conflict, Corrupted, StorageFailed, StorageFull, Unavailable
from stackproof.roles.tuning import Choice, Direction, FinishedTrial, FloatRange, IntRange, Space, TrialStatus


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished trial and the values that it reported, in their order."""

    trial: FinishedTrial
    reports: tuple[float, ...]


class Journal:
    """One study's, held by one runner at a time; `kept` are its finished trials by number."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.kept: list[Kept] = []
        self._file = file
        self._name = name

    def open(self, space: Space, direction: Direction) -> None:
        """Read what is there. Raises `Conflict` for a study of another space or direction, `Corrupted`."""
        asked = {"name": self._name, "space": _described(space), "direction": direction.value}
        lines = self._lines()
        if not lines:
            self._append(asked)
            return
        for key in ("space", "direction"):
            if lines[0].get(key) != asked[key]:
                raise Conflict(
                    f"The study {self._name!r} exists with another {key}",
                    got=asked[key],
                    allowed=str(lines[0].get(key)),
                )
        try:
            self.kept = [_read(number, line) for number, line in enumerate(lines[1:])]
        except (KeyError, TypeError, ValueError) as broken:
            raise Corrupted(f"The journal of the study {self._name!r} cannot be read", got=broken) from broken

    def add(self, trial: FinishedTrial, reports: Sequence[float]) -> None:
        """Returns when it is durable."""
        told = {"params": dict(trial.params), "value": trial.value, "status": trial.status.value, "error": trial.error}
        self._append({**told, "reports": list(reports)})
        self.kept.append(Kept(trial, tuple(reports)))

    def _append(self, line: Mapping[str, object]) -> None:
        with _storage_errors(self._name):
            self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def _lines(self) -> list[dict[str, object]]:
        """A line without its end was cut short by a kill, and never acknowledged: it is taken away."""
        with _storage_errors(self._name):
            self._file.seek(0)
            whole, _, torn = self._file.read().rpartition(b"\n")
            if torn:
                self._file.truncate(len(whole) + (1 if whole else 0))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as broken:
            raise Corrupted(f"The journal of the study {self._name!r} cannot be read", got=broken) from broken


@contextmanager
def held(home: Path, name: str) -> Iterator[Journal]:
    """The study's journal; the lock goes with the process, whatever ends it. Raises `Unavailable`, `StorageFailed`."""
    with ExitStack() as stack:
        with _storage_errors(name):
            file = stack.enter_context((home / f"{key_of(name)}.journal").open("a+b"))
            _make_entry_durable(home)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise Unavailable(f"The study {name!r} is being run by another process or thread") from taken
        yield Journal(file, name)


def key_of(name: str) -> str:
    """A short name for files, different for different studies."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read(number: int, line: Mapping[str, object]) -> Kept:
    value, error, params, reports = line["value"], line["error"], line["params"], line["reports"]
    if not isinstance(params, dict) or not isinstance(reports, list):
        raise TypeError(f"line {number + 2}")
    return Kept(
        FinishedTrial(
            number=number,
            params=params,
            value=None if value is None else float(str(value)),
            status=TrialStatus(str(line["status"])),
            error=None if error is None else str(error),
        ),
        tuple(float(report) for report in reports),
    )


def _described(space: Space) -> str:
    """A text that two spaces share only when they are the same; the order of names does not matter."""
    return json.dumps({name: _described_domain(domain) for name, domain in space.items()}, sort_keys=True)


def _described_domain(domain: FloatRange | IntRange | Choice) -> dict[str, object]:
    if isinstance(domain, Choice):
        return {"choice": list(domain.values)}
    kind, number = ("int", int) if isinstance(domain, IntRange) else ("float", float)
    return {kind: [number(domain.low), number(domain.high)], "log": domain.log}


def _make_entry_durable(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _storage_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (StorageFull if full else StorageFailed)(
            f"The journal of the study {name!r} could not be written", got=error
        ) from error
