"""The file in an environment that says that it is whole, and whether that still holds."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from stackproof.envs.installing import answers, site_packages
from stackproof.envs.locking import Lock
from stackproof.store.files import write_durably

MARKER = "stackproof-environment.json"


@dataclass(frozen=True, slots=True)
class Marker:
    """What was true when the environment was made. `lock`: its digest. `names`: what lay in its site-packages."""

    lock: str
    python: str
    tools: tuple[str, ...]
    created: datetime.datetime
    packages: int
    size_bytes: int
    seconds: float
    names: tuple[str, ...]

    def shared_with(self, tool: str) -> "Marker":
        return replace(self, tools=tuple(sorted({*self.tools, tool})))


def write_marker(folder: Path, marker: Marker) -> None:
    """Durable when it returns. Raises `StorageFull` or `StorageFailed`."""
    document = {name: getattr(marker, name) for name in Marker.__slots__}
    document["created"] = marker.created.isoformat()
    write_durably(folder / MARKER, json.dumps(document, indent=1).encode())


def read_marker(folder: Path) -> Marker | None:
    """None where there is none, or where it is not what `write_marker` wrote."""
    try:
        document = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return Marker(
            lock=str(document["lock"]),
            python=str(document["python"]),
            tools=tuple(document["tools"]),
            created=datetime.datetime.fromisoformat(document["created"]),
            packages=int(document["packages"]),
            size_bytes=int(document["size_bytes"]),
            seconds=float(document["seconds"]),
            names=tuple(document["names"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damage(folder: Path, lock: Lock | None = None) -> str:
    """Why an environment can't be used, "" when it can: its marker, its distributions, its interpreter.

    A file changed inside of a distribution is not noticed here; the import of the tool notices it.
    """
    marker = read_marker(folder)
    if marker is None:
        return "its marker is missing or broken"
    if lock is not None and marker.lock != lock.digest:
        return "it was made from another lock"
    missing = sorted(_missing(folder, marker.names))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"{missing[0]}{more} is missing from it"
    if answers(folder / "bin" / "python").rpartition(".")[0] != marker.python.rpartition(".")[0]:
        return "its interpreter does not run"
    return ""


def names_in(folder: Path) -> tuple[str, ...]:
    """What lies in an environment's site-packages, sorted."""
    site = site_packages(folder)
    return tuple(sorted(entry.name for entry in site.iterdir())) if site is not None else ()


def _missing(folder: Path, names: Iterable[str]) -> set[str]:
    return set(names) - set(names_in(folder))
