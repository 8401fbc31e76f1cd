"""What a supervisor is to run, and how patient it is; passed to it by a file that it removes once it has read it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from stackproof.errors import Corrupted
from stackproof.roles.adapter import ServerSpec
from stackproof.store.failures import write_errors


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server to run. `after`: names of others that are up, or given up, before it starts.

    `previous_port`: the one that it had before, taken again when it is free; 0 for none.
    `in_use`: a lock file to share meanwhile, so that nobody removes its environment; "" for none.
    """

    spec: ServerSpec
    after: tuple[str, ...] = ()
    previous_port: int = 0
    in_use: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a server is given up, and how large its log may grow.

    A server is started again after a pause that doubles, `restarts` times in a row; one that was up for `steady_s`
    has all of them again. `misses`: so many health checks in a row that fail, `check_s` apart, end it too. `stop_s`:
    from SIGTERM to SIGKILL. A log has `log_files` files of `log_bytes` each.
    """

    restarts: int = 3
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    steady_s: float = 60.0
    check_s: float = 5.0
    misses: int = 3
    stop_s: float = 15.0
    log_bytes: int = 10_000_000
    log_files: int = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """`alone`: whatever else runs is stopped. What runs already as it is wanted goes on. `id`: this plan's own."""

    servers: tuple[Wanted, ...]
    alone: bool = True
    patience: Patience = field(default_factory=Patience)
    id: str = field(default_factory=lambda: uuid4().hex)


def write_plan(plan: Plan, path: Path) -> None:
    """For its owner's eyes only, and in one step. Raises `StorageFailed`."""
    unfinished = path.with_suffix(".tmp")
    with write_errors(path):
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(plan), file, default=str)
        unfinished.rename(path)


def take_plan(path: Path) -> Plan | None:
    """Read it and remove it; None when there is none. Raises `Corrupted` for one that can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    path.unlink()
    try:
        document = json.loads(text)
        servers = tuple(_wanted(entry) for entry in document["servers"])
        return Plan(servers, document["alone"], Patience(**document["patience"]), document["id"])
    except (ValueError, KeyError, TypeError) as broken:
        raise Corrupted(
            "The plan of the servers can't be read", got=f"{path}: {broken}", next_command="stackproof up"
        ) from broken


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    given = entry["spec"]
    read = {"folder": Path(given["folder"]), "arguments": tuple(given["arguments"]), "without": tuple(given["without"])}
    return Wanted(ServerSpec(**given | read), tuple(entry["after"]), entry["previous_port"], entry["in_use"])
