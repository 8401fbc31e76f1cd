"""What runs of a project's servers, as its supervisor last wrote it, and as it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from stackproof.stack.servers.places import Places, is_held
from stackproof.store.files import write_durably


class Standing(StrEnum):
    """Where a server is in its life."""

    WAITING = "waiting"
    """For the servers that it needs."""
    STARTING = "starting"
    UP = "up"
    UNWELL = "unwell"
    """It runs, and its health checks fail."""
    RESTARTING = "restarting"
    """It ended; it is started again after a pause."""
    FAILED = "failed"
    """It was given up."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server. `pid`: of its process, 0 when there is none. `since`: when it came to stand as it does.

    `restarts`: so many times it was started again. `detail`: why it is not up, "" when it is.
    `options`: see `ServerSpec`.
    """

    name: str
    standing: Standing
    since: datetime
    url: str = ""
    health: str = ""
    port: int = 0
    pid: int = 0
    restarts: int = 0
    detail: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started and not given up. `healthy`: its last health check was good.

    One that is not may be starting, or be started again in a moment, at the same address. `options` are those of the
    adapter that make it use this server.
    """

    name: str
    url: str
    healthy: bool
    options: Mapping[str, str]


def running_servers(home: Path) -> Mapping[str, Running]:
    """The servers of the project with this home by their names, which for tools are the tools'; empty when none is up.

    Reads two small files; asks no server.
    """
    places = Places(home)
    if not is_held(places.supervisor):
        return {}
    gone = (Standing.FAILED, Standing.STOPPED)
    return {
        state.name: Running(state.name, state.url, state.standing is Standing.UP, state.options)
        for state in read_state(places.state)
        if state.standing not in gone
    }


def read_state(path: Path) -> tuple[ServerState, ...]:
    """As last written, in the order in which they were wanted; empty when there is none, or it can't be read.

    It is a note of what can be seen by other means, so a damaged one is as good as none.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["servers"]
        return tuple(_state(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def carried_out(path: Path) -> str:
    """The identifier of the last plan that the state is the outcome of; "" for none."""
    try:
        plan: str = json.loads(path.read_text(encoding="utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return plan


def write_state(path: Path, states: Sequence[ServerState], plan: str = "") -> None:
    """In one step. `plan`: see `carried_out`. Raises `StorageFailed`."""
    text = json.dumps({"plan": plan, "servers": [asdict(state) for state in states]}, indent=1, default=str)
    write_durably(path, text.encode())


def _state(entry: dict[str, Any]) -> ServerState:
    since = datetime.fromisoformat(entry["since"])
    return ServerState(**entry | {"since": since, "standing": Standing(entry["standing"])})
