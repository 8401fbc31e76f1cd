"""`attach requests`: reads a service's own log of requests into the ledger, each once."""

import json
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from stackproof.errors import NotFound, RefusedInput
from stackproof.ledger import Entity
from stackproof.roles.serving import LoggedPrediction
from stackproof.stack.attached import is_attached
from stackproof.stack.deployments import latest_entity
from stackproof.stack.exchanges import VERSION, rows_of, version_in
from stackproof.stack.recorder import Exchange, predictions
from stackproof.stack.workspace import Workspace
from stackproof.store import write_durably

AT_ONCE = 1000
FAULTS_SHOWN = 50
MEMBERS = ("id", "at", "inputs", "outputs", VERSION)
SCHEMA = '{"id": "r-1", "at": "2026-11-21T10:00:00Z", "inputs": {…}, "outputs": …, "model_version": 3}'


@dataclass(frozen=True, slots=True)
class Imported:
    """`new` and `known`: predictions. `bad`: lines that could not be read, in `set_aside`."""

    lines: int
    new: int
    known: int
    bad: int
    set_aside: Path | None
    latest: str


@dataclass
class _Log:
    """A file of requests. `seen`: the line of each request's identifier."""

    file: Path
    deployment: Entity
    seen: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def predictions(self) -> Iterator[list[LoggedPrediction]]:
        """Those of each line that can be read, in the file's order; the others are left in `faults`."""
        self.seen.clear()
        self.faults.clear()
        with self.file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield self._of_line(number, line)
                except RefusedInput as refused:
                    self.faults.append((number, " ".join(str(refused).split())))

    def _of_line(self, number: int, line: bytes) -> list[LoggedPrediction]:
        told = _object(line)
        # A line without an identifier is known by its place and content: the same file again is nothing new.
        own = f"{number}:{sha256(line.strip()).hexdigest()}"
        request_id = own if told.get("id") is None else str(told["id"])
        if self.seen.setdefault(request_id, number) != number:
            raise RefusedInput(f"its id was given before, in line {self.seen[request_id]}", got=request_id)
        exchange = Exchange(_identifier(self.deployment, request_id), request_id, _at(told), b"", b"")
        rows = rows_of(told["inputs"], told["outputs"])
        return predictions(exchange, rows, self.deployment, version_in(told) or version_in(told["outputs"]))


def attach_requests(workspace: Workspace, file: Path, deployment: str, *, set_aside: Path | None = None) -> Imported:
    """Read JSON lines, each an object with `at` (RFC 3339), `inputs`, `outputs`, and perhaps `id` and `model_version`.

    A request that was read before, by `id` or else by its place and content, is not recorded again. Bad lines: with
    `set_aside` they are copied there and the others recorded; without, nothing is recorded.

    Raises `RefusedInput` with every bad line, or for requests that were recorded with another content; `NotFound` for
    a file or service that there is not.
    """
    log = _Log(_existing(file), _attached(workspace, deployment))
    lines = sum(bool(some) for some in log.predictions())
    if log.faults and set_aside is None:
        raise _refused(file, log.faults)
    if log.faults and set_aside is not None:
        _copy(file, {number for number, _ in log.faults}, set_aside)
    new = known = 0
    latest = ""
    reading = iter(log.predictions())
    while some := [one for row in islice(reading, AT_ONCE) for one in row]:
        added = _record(workspace, some)
        new, known, latest = new + added, known + len(some) - added, some[-1].id
        workspace.progress("recording requests", new + known, None)
    return Imported(lines, new, known, len(log.faults), set_aside if log.faults else None, latest)


def _record(workspace: Workspace, some: list[LoggedPrediction]) -> int:
    """Those that are new, all or none; how many."""
    store, problems = workspace.ledger.predictions, list[BaseException | None]()
    with workspace.store.database.transaction():
        known = store.known([one.id for one in some])
        changed = [one for one in some if one.id in known and _content(known[one.id]) != _content(one)]
        if changed:
            raise RefusedInput(
                "A request was recorded before with another content", faults=[one.request_id for one in changed],
                allowed="one id for one request",
            )  # fmt: skip
        new = [one for one in some if one.id not in known]
        store.append(new, problems.append)
    for problem in problems:
        if problem is not None:
            raise problem
    return len(new)


def _content(one: LoggedPrediction) -> tuple[Any, ...]:
    return one.at, json.dumps([dict(one.features), dict(one.output)], sort_keys=True)


def _object(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as broken:
        raise RefusedInput("it is no JSON", got=f"{broken}") from broken
    if not isinstance(told, dict):
        raise RefusedInput("it is no object", got=type(told).__name__, allowed=SCHEMA)
    lacking = [name for name in ("at", "inputs", "outputs") if name not in told]
    if lacking:
        raise RefusedInput(f"it lacks {', '.join(lacking)}", got=", ".join(told) or "nothing", allowed=SCHEMA)
    return told


def _at(told: dict[str, Any]) -> datetime:
    text = told["at"]
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RefusedInput("its instant is malformed", got=repr(text), allowed='"2026-11-21T10:00:00Z", with its zone')
    return at


def _identifier(deployment: Entity, request_id: str) -> str:
    """The same for the same request of the same service, so that it is recorded once."""
    name = str(deployment.attributes["name"])
    digest = sha256(f"{name}\n{request_id}".encode("utf-8", "surrogatepass")).digest()
    return "prediction:" + b32encode(digest).decode("ascii")[:26]


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise NotFound("There is no file of requests", got=str(file), allowed=f"JSON lines such as {SCHEMA}")
    return file


def _attached(workspace: Workspace, name: str) -> Entity:
    state = latest_entity(workspace, name)
    if state is None or not is_attached(state):
        raise NotFound(
            f"No service is attached as {name!r}", next_command=f"stackproof attach service {name} --model NAME@VERSION"
        )
    return state


def _refused(file: Path, faults: list[tuple[int, str]]) -> RefusedInput:
    shown = [f"line {number}: {why}" for number, why in faults[:FAULTS_SHOWN]]
    more = [f"and {len(faults) - FAULTS_SHOWN} more"] if len(faults) > FAULTS_SHOWN else []
    return RefusedInput(
        f"{len(faults)} lines of {file.name} can't be read; nothing was recorded", faults=[*shown, *more],
        next_command=f"stackproof attach requests {file} --deployment … --set-aside bad.jsonl",
    )  # fmt: skip


def _copy(file: Path, numbers: set[int], into: Path) -> None:
    with file.open("rb") as lines:
        bad = b"".join(line for number, line in enumerate(lines, start=1) if number in numbers)
    write_durably(into.resolve(), bad)
