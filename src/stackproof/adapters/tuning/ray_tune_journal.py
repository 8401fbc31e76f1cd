"""What is known of a study: one file of JSON lines, of which each is durable before the next trial begins."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stackproof.adapters.tuning import study_file
from stackproof.adapters.tuning.study_file import check_same, described, file_of, storage_errors, unreadable
from stackproof.roles.tuning import Direction, FinishedTrial, Space, TrialStatus


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
        asked = {"name": self._name, "space": described(space), "direction": direction.value}
        lines = self._lines()
        if not lines:
            self._append(asked)
            return
        for key in ("space", "direction"):
            check_same(self._name, key, asked=asked[key], known=str(lines[0].get(key)))
        try:
            self.kept = [_read(number, line) for number, line in enumerate(lines[1:])]
        except (KeyError, TypeError, ValueError) as broken:
            raise unreadable(self._name, broken) from broken

    def add(self, trial: FinishedTrial, reports: Sequence[float]) -> None:
        """Returns when it is durable."""
        told = {"params": dict(trial.params), "value": trial.value, "status": trial.status.value, "error": trial.error}
        self._append({**told, "reports": list(reports)})
        self.kept.append(Kept(trial, tuple(reports)))

    def _append(self, line: Mapping[str, object]) -> None:
        with storage_errors(self._name):
            self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def _lines(self) -> list[dict[str, object]]:
        """A line without its end was cut short by a kill, and never acknowledged: it is taken away."""
        with storage_errors(self._name):
            self._file.seek(0)
            whole, _, torn = self._file.read().rpartition(b"\n")
            if torn:
                self._file.truncate(len(whole) + (1 if whole else 0))
        try:
            return [json.loads(line) for line in whole.splitlines()]
        except ValueError as broken:
            raise unreadable(self._name, broken) from broken


@contextmanager
def held(home: Path, name: str) -> Iterator[Journal]:
    """The study's journal. Raises `Unavailable`, `StorageFailed`."""
    with study_file.held(file_of(home, name), name) as file:
        yield Journal(file, name)


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
