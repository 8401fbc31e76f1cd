"""The environments of a project's tools: made when a stack is applied, upgraded, listed, removed."""

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from stackproof.envs.environments import EnvironmentHandle, Environments, Listing, Pruned, user_locks
from stackproof.envs.interpreters import choose_interpreter
from stackproof.envs.locking import Lock, Locks, changes
from stackproof.envs.projects import Registered
from stackproof.envs.relock import PYTHONS, resolve_lock
from stackproof.errors import NotFound
from stackproof.roles.stack import Stack
from stackproof.stack.live import fillings

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"
Resolver = Callable[..., Lock]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a tool's conformance suite said of it in an environment. `failed`: one line for each test."""

    passed: int
    failed: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """A suite in which nothing ran has shown nothing."""
        return self.passed > 0 and not self.failed


Check = Callable[[EnvironmentHandle], CheckResult]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """`accepted`: the new lock is in force for this user. `newest`: there was nothing newer, so nothing was done.

    `changes`: distribution, version before and after. `result`: what the check said, None when it did not run.
    """

    tool: str
    python: str
    accepted: bool
    newest: bool
    changes: tuple[tuple[str, str, str], ...]
    result: CheckResult | None


def own_tools(stack: Stack, locks: Locks) -> tuple[str, ...]:
    """The tools that run in an environment of their own: so declared, with an adapter and a lock; each once."""
    runs = {filling.role: filling.by for filling in fillings(stack)}
    found = (
        tool
        for role, choice in stack.roles.items()
        if choice.environment == "own" and runs[role] == choice.tool
        for tool in (choice.tool, *choice.beside)
        if tool in locks.recipes
    )
    return tuple(dict.fromkeys(found))


def prepare(
    project: str,
    folder: Path,
    tools: Sequence[str],
    environments: Environments,
    *,
    locks: Locks | None = None,
    pythons: Mapping[str, str] | None = None,
    now: datetime.datetime,
) -> dict[str, EnvironmentHandle]:
    """An environment for each tool, made where it is missing; then the project is registered as using them.

    `pythons`: tool to a minor version; else the one that the project used before, else our own if the tool's suite
    passed on its lock, else the newest on the machine of which that is so, else the newest that has a lock. When one
    can't be made, the error says why, what the project used before stays, and the next call goes on from there.
    """
    locks = locks or user_locks()
    before = environments.projects.of(folder)
    chosen: list[Lock] = []
    handles: dict[str, EnvironmentHandle] = {}
    with ExitStack() as using:
        for tool in tools:
            lock, interpreter = _choose(tool, locks, (pythons or {}).get(tool, ""), _earlier(before, tool))
            chosen.append(lock)
            handles[tool] = environments.ensure(lock, interpreter)
            using.callback(environments.use(handles[tool]).close)
        environments.projects.register(project, folder, chosen, now)
    return handles


def applied(folder: Path, environments: Environments) -> dict[str, EnvironmentHandle]:
    """The environments that the project applied last, made again where one is gone or damaged."""
    found = environments.projects.of(folder)
    return {tool: environments.ensure(lock) for tool, lock in found.locks.items()} if found else {}


def upgrade(
    tool: str,
    check: Check,
    environments: Environments,
    *,
    folder: Path | None = None,
    locks: Locks | None = None,
    python: str = "",
    today: datetime.date,
    resolver: Resolver = resolve_lock,
) -> Upgraded:
    """Resolve a tool anew, make the environment, run `check` in it, and accept the new lock if it passes.

    `python`: a minor version; else the one that `apply` would take in the project at `folder`, for a system without
    locks the newest on the machine that Stackproof runs on. Refused, or whatever is raised on the way: locks and
    environments are as before.
    """
    locks = locks or user_locks()
    recipe = locks.recipe(tool)
    python, interpreter = _to_upgrade(tool, python, folder, locks, environments)
    current = _current(tool, python, locks)
    new = resolver(recipe, python, today)
    if current is not None and current.pins == new.pins:
        return Upgraded(tool, python, False, True, (), None)
    differs = tuple(changes(current, new) if current else [(name, "", v) for name, v in new.pins.items()])
    was_there = environments.find(new) is not None
    accepted = False
    try:
        handle = environments.ensure(new, interpreter)
        using = environments.use(handle)
        try:
            result = check(handle)
        finally:
            using.close()
        accepted = result.ok
        if accepted:
            locks.accept(replace(new, imported=today, tested=today))
    finally:
        if not accepted and not was_there:
            environments.remove(new.key)
    return Upgraded(tool, python, accepted, False, differs, result)


def list_environments(environments: Environments) -> Listing:
    """Every environment on this machine, with its size, its lock's standing and the projects that use it."""
    return environments.list_environments(user_locks())


def prune(environments: Environments, keep: Set[str] = frozenset(), *, dry_run: bool = False) -> Pruned:
    """Remove the environments that no project uses any more, or say which these are."""
    return environments.prune(keep, dry_run=dry_run)


def _to_upgrade(
    tool: str, python: str, folder: Path | None, locks: Locks, environments: Environments
) -> tuple[str, Path]:
    if not locks.pythons(tool):
        return choose_interpreter(tool, PYTHONS, python)
    earlier = _earlier(environments.projects.of(folder) if folder else None, tool)
    lock, interpreter = _choose(tool, locks, python, earlier)
    return lock.python, interpreter


def _earlier(before: Registered | None, tool: str) -> str:
    """The minor version on which a project had the tool, "" when it had not."""
    return before.locks[tool].python if before and tool in before.locks else ""


def _choose(tool: str, locks: Locks, python: str, earlier: str) -> tuple[Lock, Path]:
    locked = locks.pythons(tool)
    if python and python not in locked:
        locks.find(tool, python)  # says which versions have a lock
    if not python and earlier in locked:
        try:
            _, interpreter = choose_interpreter(tool, locked, earlier)
            return locks.find(tool, earlier), interpreter
        except NotFound:
            pass  # that Python is gone from the machine: another minor version does
    if not locked:
        locks.find(tool, PYTHONS[-1])
    version, interpreter = choose_interpreter(tool, locked, python, _preferred(tool, locks))
    return locks.find(tool, version), interpreter


def _preferred(tool: str, locks: Locks) -> list[str]:
    """Our own minor version when the tool's suite has passed on its lock, else all of which that is so.

    On the same Python a tool that computes has the same releases of what computes, and so gives the same numbers.
    """
    tested = [version for version in locks.pythons(tool) if locks.find(tool, version).tested is not None]
    return [OURS] if OURS in tested else tested


def _current(tool: str, python: str, locks: Locks) -> Lock | None:
    try:
        return locks.find(tool, python)
    except NotFound:
        return None
