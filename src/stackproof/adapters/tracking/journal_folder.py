"""What the records of a run's folder add up to."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from stackproof.roles.tracking import Artifact, Metric, Param, Run, RunStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOREIGN_ENDS = {1: RunStatus.FINISHED, 2: RunStatus.FAILED}


class Codec(Protocol):
    """How records are written in a file, and read. `session`: what a tool itself has of parameters and ends."""

    def first(self, at: datetime) -> bytes: ...

    def note(self, name: str, at: datetime, content: Mapping[str, Any]) -> bytes: ...

    def point(self, metric: Metric) -> bytes: ...

    def read(self, path: Path, offset: int) -> Iterator[tuple[int, Any]]: ...

    def wall_time(self, record: Any) -> float: ...

    def notes(self, record: Any) -> Iterator[tuple[str, dict[str, Any]]]: ...

    def points(self, record: Any) -> Iterator[Metric]: ...

    def session(self, record: Any) -> Iterator[tuple[str, Any]]: ...


@dataclass
class Folder:
    """A run: a folder below `root` with files named like `pattern`. `offsets`: up to where each was read."""

    path: Path
    root: Path
    pattern: str
    offsets: dict[Path, int] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, tuple[Artifact, str]] = field(default_factory=dict)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)
    foreign_start: float | None = None
    foreign_end: tuple[int, float] | None = None

    @property
    def id(self) -> str:
        """Of a run that others wrote: its place in the folder of logs."""
        place = self.path.relative_to(self.root).as_posix()
        return str(self.start.get("run", f"run:{place}"))

    @property
    def file(self) -> Path:
        """The one that Stackproof appends to, or the last."""
        return sorted(self.path.glob(self.pattern))[-1]

    def refresh(self, codec: Codec) -> "Folder":
        """Read what was added. Raises `Corrupted`."""
        for path in sorted(self.path.glob(self.pattern)):
            known = self.offsets.get(path, 0)
            if path.stat().st_size > known:
                for offset, record in codec.read(path, known):
                    self._apply(record, codec)
                    self.offsets[path] = offset
        return self

    def _apply(self, record: Any, codec: Codec) -> None:
        if self.foreign_start is None:
            self.foreign_start = codec.wall_time(record)
        for name, content in codec.notes(record):
            self._apply_note(name, content)
        for metric in codec.points(record):
            self.metrics.setdefault(metric.name, []).append(metric)
        if not self.start:
            for kind, info in codec.session(record):
                self._apply_session(kind, info)

    def _apply_note(self, name: str, content: dict[str, Any]) -> None:
        match name:
            case "run":
                self.start = content
                self.tags.update(content["tags"])
            case "params":
                self.params.update(content)
            case "tags":
                self.tags.update(content)
            case "artifact":
                artifact = Artifact(content["name"], content["digest"], content["size"])
                self.artifacts[artifact.name] = (artifact, content["place"])
            case "end":
                self.end = content

    def _apply_session(self, kind: str, info: Any) -> None:
        if kind == "session_start_info":
            self.params.update({name: _value(value) for name, value in info.hparams.items()})
        else:
            self.foreign_end = (info.status, info.end_time_secs)

    def history(self, name: str) -> list[Metric]:
        return sorted(self.metrics.get(name, ()), key=lambda metric: metric.step)

    def run(self) -> Run:
        status, ended_at = self._ending()
        started_at = self.start.get("at", self.foreign_start)
        place = self.path.relative_to(self.root)
        above = place.parent.as_posix()
        return Run(
            id=self.id,
            experiment=self.start.get("experiment", self.root.name if above == "." else above),
            name=self.start.get("name", place.name),
            status=status,
            started_at=from_seconds(started_at) if started_at is not None else _EPOCH,
            ended_at=ended_at,
            params={name: self.params[name] for name in sorted(self.params)},
            metrics={name: self.history(name)[-1].value for name in sorted(self.metrics)},
            tags={name: self.tags[name] for name in sorted(self.tags)},
        )

    def _ending(self) -> tuple[RunStatus, datetime | None]:
        if self.end:
            return RunStatus(self.end["status"]), from_seconds(self.end["at"])
        if self.foreign_end is not None and self.foreign_end[0] in _FOREIGN_ENDS:
            return _FOREIGN_ENDS[self.foreign_end[0]], from_seconds(self.foreign_end[1])
        return RunStatus.RUNNING, None


def folders_below(root: Path, pattern: str) -> list[Path]:
    """Every folder with files named so."""
    return sorted({path.parent for path in root.rglob(pattern) if path.is_file()})


def to_seconds(at: datetime) -> float:
    return ((at - _EPOCH) // timedelta(microseconds=1)) / 1e6


def from_seconds(seconds: float) -> datetime:
    """To the microsecond; an instant that no calendar has is the epoch."""
    try:
        return _EPOCH + timedelta(microseconds=round(seconds * 1e6)) if math.isfinite(seconds) else _EPOCH
    except OverflowError:
        return _EPOCH


def _value(value: Any) -> Param:
    kind = value.WhichOneof("kind")
    found: Param = getattr(value, kind) if kind in ("bool_value", "number_value", "string_value") else None
    return found
