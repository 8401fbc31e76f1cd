"""Records as lines of JSON, for a tool whose own files can't be appended to or read."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from stackproof.adapters.tracking.journal_folder import from_seconds, to_seconds
from stackproof.errors import Corrupted
from stackproof.roles.tracking import Metric


class Lines:
    """A `Codec`: {"note": name, "at": seconds, "content": …} or {"point": [name, value, step, seconds]}."""

    def first(self, at: datetime) -> bytes:
        return _line({"note": "journal", "at": to_seconds(at), "content": {"version": 1}})

    def note(self, name: str, at: datetime, content: Mapping[str, Any]) -> bytes:
        return _line({"note": name, "at": to_seconds(at), "content": dict(content)})

    def point(self, metric: Metric) -> bytes:
        at = to_seconds(metric.at)
        return _line({"point": [metric.name, float(metric.value), int(metric.step), at], "at": at})

    def read(self, path: Path, offset: int) -> Iterator[tuple[int, Any]]:
        """A last line without its end is not there yet. Raises `Corrupted`."""
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise Corrupted("A run's journal is damaged", got=f"{path}: {line[:80]!r}") from error
                yield offset, record

    def wall_time(self, record: Any) -> float:
        seconds: float = record["at"]
        return seconds

    def notes(self, record: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        if "note" in record:
            yield record["note"], record["content"]

    def points(self, record: Any) -> Iterator[Metric]:
        if "point" in record:
            name, value, step, at = record["point"]
            yield Metric(name, value, step, from_seconds(at))

    def session(self, record: Any) -> Iterator[tuple[str, Any]]:
        return iter(())


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
