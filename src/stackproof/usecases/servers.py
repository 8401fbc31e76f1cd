"""The servers of a project's stack: which they are, up, down, how they stand, and what they print."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from stackproof.adapters import registry
from stackproof.envs.environments import use_lock
from stackproof.errors import Conflict, NotFound, RefusedInput, Unavailable, UnknownName
from stackproof.roles.adapter import PORT, HasServer, ServerSpec, Setting
from stackproof.roles.serving import Signature
from stackproof.stack.attached import is_attached
from stackproof.stack.deployments import current_deployment, latest_entity
from stackproof.stack.file import with_secrets
from stackproof.stack.live import EMBEDDED, checked_options, fillings, tool_home
from stackproof.stack.models import Model
from stackproof.stack.servers import control
from stackproof.stack.servers.guarded import why_unwell
from stackproof.stack.servers.places import Places
from stackproof.stack.servers.plan import Plan, Wanted
from stackproof.stack.servers.state import ServerState, Standing
from stackproof.stack.tool_environments import lives_apart
from stackproof.stack.workspace import HOME_VARIABLE, Workspace

SUPERVISOR = "supervisor"
FIRST_PORT = 8080
"""Wished for by the first deployment, as by `stackproof serve`."""

PIECE = 64 * 1024
FOLLOW_S = 0.3

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server as it is now. `ok`: it is up, and answered just now. `pid`: 0 when there is no process.

    `health`: what it answered, or why it is not up. `restarts`: since it was brought up.
    """

    name: str
    ok: bool
    state: Standing
    url: str
    pid: int
    since: datetime
    restarts: int
    health: str


def up(
    workspace: Workspace,
    names: Sequence[str] = (),
    *,
    ports: Mapping[str, int] | None = None,
    sinks: Sequence[str] = ("console",),
    told: Told = lambda line: None,
) -> list[ServerStatus]:
    """Start the servers of the stack, or those named, and wait until each is up or given up.

    Those of the tools, one for each deployment, and a watcher of each deployment whose model has a reference.
    What is up already goes on; what no longer belongs to the stack is ended, unless only some are named. `ports`:
    name to the port that it must have. `sinks`: where watchers send alerts. `told` gets a line for what happens.

    Raises `NotFound` when the stack has no server or a tool no environment yet, `UnknownName`, `RefusedInput` for a
    port, `Unavailable` when all of it was ended meanwhile.
    """
    wanted = servers_of(workspace, sinks, told)
    known = [one.spec.name for one in wanted]
    if not wanted:
        raise NotFound(
            "This stack has no server to start",
            allowed="a tool with a server in stack.toml, such as mlflow, or a deployment",
            next_command="stackproof deploy NAME 1=1",
        )
    for name in (*names, *(ports or {})):
        if name not in known:
            raise UnknownName("server of this stack", name, known, next_command="stackproof up")
    chosen = [_on_port(one, ports or {}) for one in wanted if one.spec.name in (names or known)]
    workspace.live.close()
    progress = _Progress(told)
    states = control.bring_up(
        workspace.home,
        Plan(tuple(chosen), alone=not names),
        progress.seen,
        lambda: told("Another `stackproof up` is at work: waiting for it"),
    )
    return [_status(state) for state in states]


def down(home: Path) -> tuple[str, ...]:
    """End all servers of the project with this home; the names of those that ran. Nothing happens when none does."""
    return control.bring_down(home)


def status(home: Path) -> list[ServerStatus]:
    """How each server stands that was brought up last; asks each that is up for its health."""
    return [_status(state) for state in control.look(home)]


def logs(home: Path, name: str, *, lines: int = 100, follow: bool = False) -> Iterator[str]:
    """The last lines that a server printed, without line ends, from older files of its log too; "supervisor" has one.

    `follow`: then also what it prints from now on, without end. Raises `UnknownName`.
    """
    places = Places(home)
    known = [state.name for state in control.look(home)]
    log = places.log(name)
    if name not in (*known, SUPERVISOR):
        raise UnknownName("server with a log", name, (*known, SUPERVISOR), next_command="stackproof status")
    return _lines(log, lines, follow)


def servers_of(workspace: Workspace, sinks: Sequence[str], told: Told) -> list[Wanted]:
    """All servers of the stack in the order in which they are shown; nothing is started."""
    before = {state.name: state.port for state in control.look(workspace.home)}
    tools = _of_tools(workspace)
    names = tuple(one.spec.name for one in tools)
    found = [*tools, *_of_deployments(workspace, names, sinks, told)]
    twice = sorted({one.spec.name for one in found if [o.spec.name for o in found].count(one.spec.name) > 1})
    if twice:
        raise Conflict("Two servers of the stack have one name", got=", ".join(twice))
    return [replace(one, previous_port=before.get(one.spec.name) or one.previous_port) for one in found]


def _of_tools(workspace: Workspace) -> list[Wanted]:
    found = []
    for filling in fillings(workspace.stack):
        for tool in (filling.by, *filling.beside):
            one = _of_tool(workspace, filling.role, tool) if tool != EMBEDDED else None
            if one is not None:
                found.append(one)
    return found


def _of_tool(workspace: Workspace, role: str, tool: str) -> Wanted | None:
    adapter_class = registry.load(registry.find(role, tool))
    brings: object = adapter_class
    if not isinstance(brings, HasServer):
        return None
    choice = workspace.stack.roles[role]
    given = choice.options if choice.tool == tool else {}
    options = checked_options(role, tool, with_secrets(given), adapter_class.options)
    home = tool_home(workspace.home, role, tool)
    home.mkdir(parents=True, exist_ok=True)
    apart = lives_apart(choice, tool)
    python = workspace.environments.python(tool) if apart else Path(sys.executable)
    spec = brings.server(Setting(home=home, options=options), python)
    if spec is None:
        return None
    return Wanted(spec, in_use=str(use_lock(python)) if apart else "")


def _of_deployments(workspace: Workspace, after: tuple[str, ...], sinks: Sequence[str], told: Told) -> list[Wanted]:
    """A server for each, unless something else serves it, and a watcher, which starts after the tools' servers too."""
    names = {str(entity.attributes["name"]) for entity in workspace.ledger.find("deployment", limit=1000)}
    alerts = [word for sink in sinks for word in ("--sink", sink)]
    found = []
    for number, name in enumerate(sorted(names)):
        if not _is_attached(workspace, name):
            found.append(Wanted(_model_server(workspace, name), after, previous_port=FIRST_PORT + number))
        lacking = _why_unwatched(workspace, name)
        if lacking:
            told(f"{name} is not watched: {lacking}")
        else:
            watcher = _own_command(workspace, "watch", name, *alerts)
            found.append(Wanted(replace(watcher, ready='"watching"'), after))
    return found


def _model_server(workspace: Workspace, name: str) -> ServerSpec:
    url = f"http://127.0.0.1:{PORT}"
    return replace(_own_command(workspace, "serve", name, "--port", PORT), url=url, health=f"{url}/v2/health/ready")


def _is_attached(workspace: Workspace, name: str) -> bool:
    deployment = latest_entity(workspace, name)
    return deployment is not None and is_attached(deployment)


def _why_unwatched(workspace: Workspace, name: str) -> str:
    """ "" when there is something to compare production with, else what is missing."""
    if _is_attached(workspace, name):
        return ""  # its watcher waits for enough predictions by itself
    try:
        main = max(current_deployment(workspace, name).routes, key=lambda route: route.weight)
    except Unavailable:
        return ""  # where models are kept is not up yet: the watcher will see
    if Model(main.package, Signature.read(main.package)).reference() is None:
        return f"{main.model_id} carries no reference to compare production with"
    return ""


def _own_command(workspace: Workspace, verb: str, name: str, *arguments: str) -> ServerSpec:
    """`stackproof VERB NAME` as a process of this very installation."""
    # Variables that lead to packages are kept from tools' environments, and this one is none of them.
    ours = {key: os.environ[key] for key in ("PYTHONPATH", "VIRTUAL_ENV") if key in os.environ}
    command = (sys.executable, "-P", "-m", "stackproof", verb, name, *arguments)
    return ServerSpec(
        name=f"{verb}-{name}",
        arguments=(*command, "--project", str(workspace.project.file), "--format", "json"),
        folder=workspace.project.folder,
        variables={**ours, HOME_VARIABLE: str(workspace.home), "PYTHONUNBUFFERED": "1"},
    )


def _on_port(wanted: Wanted, ports: Mapping[str, int]) -> Wanted:
    port = ports.get(wanted.spec.name)
    if port is None:
        return wanted
    if not wanted.spec.url:
        raise RefusedInput("That server listens on no port", got=wanted.spec.name)
    if not 0 < port < 65536:
        raise RefusedInput("That is no port", got=port, allowed="1 to 65535")
    return replace(wanted, spec=replace(wanted.spec, port=port))


class _Progress:
    """Tells what each server comes to, once."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._before: dict[str, tuple[Standing, int]] = {}

    def seen(self, states: Sequence[ServerState]) -> None:
        for state in states:
            now = state.standing, state.restarts
            if self._before.get(state.name) != now:
                self._before[state.name] = now
                self._told(_in_words(state))


def _in_words(state: ServerState) -> str:
    if state.standing is Standing.UP:
        return f"{state.name}: up{f' at {state.url}' if state.url else ''}"
    return f"{state.name}: {state.standing}{f', {state.detail}' if state.detail else ''}"


def _status(state: ServerState) -> ServerStatus:
    ok, health = state.standing is Standing.UP, state.detail
    if ok and state.health:
        began = time.perf_counter()
        unwell = why_unwell(state.health)
        ok, health = not unwell, unwell or f"ok, {(time.perf_counter() - began) * 1000:.0f} ms"
    return ServerStatus(
        name=state.name,
        ok=ok,
        state=state.standing,
        url=state.url,
        pid=state.pid,
        since=state.since,
        restarts=state.restarts,
        health=health or ("runs" if ok else ""),
    )


def _lines(log: Path, count: int, follow: bool) -> Iterator[str]:
    """The last `count` lines over the log's files, then what is added to the newest."""
    older = sorted(log.parent.glob(f"{log.name}.[0-9]*"), key=lambda file: int(file.suffix[1:]), reverse=True)
    kept: list[str] = []
    reached = (0, 0)
    for file in (*older, log):
        text, reached = _read(file, (0, 0))
        kept = [*kept, *text.splitlines()][-count:] if count else []
    yield from kept
    while follow:
        text, reached = _read(log, reached)
        yield from text.splitlines()
        if not text:
            time.sleep(FOLLOW_S)


def _read(file: Path, reached: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """What a file has beyond where it was read to: its number and the position; from the start if it is another one.

    Only whole lines, so that none is cut.
    """
    number, position = reached
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if found.st_ino != number or found.st_size < position:
                position = 0
            opened.seek(position)
            data = opened.read()
    except FileNotFoundError:
        return "", reached
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace"), (found.st_ino, position + len(whole))
