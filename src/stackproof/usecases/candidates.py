"""The candidates of a proof: each adapter in a process of its own, in the environment in which it would run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import ndiff
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import BridgedAdapter, bridged
from stackproof.envs.bridge.limits import Limits
from stackproof.envs.bridge.process import environment_of
from stackproof.envs.environments import EnvironmentHandle, Environments, user_locks
from stackproof.envs.interpreters import choose_interpreter
from stackproof.envs.locking import Lock, Locks
from stackproof.errors import StackproofError, Unavailable
from stackproof.prove.candidate import Candidate, Running
from stackproof.prove.measuring import family
from stackproof.prove.record import timed
from stackproof.prove.statistics import percentile
from stackproof.roles.adapter import Setting
from stackproof.roles.proof import Figure
from stackproof.roles.stack import RoleChoice
from stackproof.stack.file import default_stack, stack_text, with_secrets
from stackproof.stack.live import EMBEDDED, checked_options
from stackproof.usecases.installed import installed_closure

Options = Mapping[str, Any]

IMPORT_LIMIT_S = 300.0
GONE_WITHIN_S = 10.0
CALL_S = 1_800.0
NOTHING = "stackproof.prove.nothing:Nothing"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a candidate runs. `lock` and `handle`: of its own environment, None in the caller's."""

    python: Path
    lock: Lock | None = None
    handle: EnvironmentHandle | None = None


class BridgedRunning:
    """An adapter over the bridge."""

    def __init__(self, adapter: BridgedAdapter) -> None:
        self.adapter = adapter
        self._killed = False

    @property
    def pid(self) -> int | None:
        return self.adapter.bridge.pid

    def stop(self) -> None:
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        self._killed = True
        pids = family(self.pid) if self.pid is not None else []
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        until = time.monotonic() + GONE_WITHIN_S
        while self.pid in pids and time.monotonic() < until:
            time.sleep(0.002)

    def close(self) -> None:
        try:
            self.adapter.close()
        except StackproofError:
            if not self._killed:
                raise


def place_of(tool: str, environments: Environments, locks: Locks | None = None) -> Place:
    """A tool with a lock runs in its own environment, made where it is missing; any other in the caller's.

    Raises as `Environments.ensure`.
    """
    locks = locks or user_locks()
    if tool not in locks.recipes:
        return Place(Path(sys.executable))
    python, interpreter = choose_interpreter(tool, locks.pythons(tool))
    lock = locks.find(tool, python)
    handle = environments.ensure(lock, interpreter)
    return Place(handle.python, lock, handle)


def candidate(role: str, tool: str, place: Place, options: Options) -> Candidate:
    """Nothing is started. Raises `UnknownName` and `RefusedInput` for a tool or options that there are not."""
    entry = registry.find(role, tool)
    checked = checked_options(role, tool, with_secrets(options), registry.load(entry).options)
    module = place.lock.imports[0] if place.lock is not None else entry.path.partition(":")[0]
    return Candidate(
        tool=tool,
        open=partial(_open, role, entry, place.python, checked),
        import_s=partial(import_seconds, place.python, module),
        measured=(*installation(entry, place), *lines_to_change(role, tool, place, options)),
    )


def _open(role: str, entry: registry.Entry, python: Path, options: Options, home: Path) -> Running:
    setting, limits = Setting(home, options), Limits(call_s=CALL_S)
    made = bridged(role, entry.tool, adapter=entry.path, python=python, setting=setting, limits=limits)
    return BridgedRunning(made)


def import_seconds(python: Path, module: str) -> float:
    """How long the import takes in a new process, without the start of the interpreter.

    Raises `Unavailable` when it fails or does not end.
    """
    code = f"import time; began = time.perf_counter(); import {module}; print('', time.perf_counter() - began)"
    finder = f"import sys; sys.path.append({str(_package())!r}); " if module.startswith("stackproof") else ""
    try:
        done = subprocess.run(
            [str(python), "-s", "-W", "ignore", "-c", finder + code],
            capture_output=True,
            text=True,
            cwd="/",
            env=environment_of(python, os.environ),
            timeout=IMPORT_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"The import of {module} did not end", allowed=f"{IMPORT_LIMIT_S:g} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Unavailable(f"The import of {module} failed", got=last)
    return float(done.stdout.split()[-1])


def _package() -> Path:
    return Path(__file__).parents[2]


def installation(entry: registry.Entry, place: Place) -> tuple[Figure, ...]:
    """Of its own environment as it was made; of the caller's what the adapter needs, which nobody timed."""
    if place.handle is not None:
        return (
            Figure("install_time", "s", (place.handle.seconds,)),
            Figure("install_size", "MB", (place.handle.size_bytes / 1e6,)),
            Figure("packages", "1", (float(place.handle.packages),)),
        )
    found = installed_closure(f"stackproof[{entry.extra}]" if entry.extra else "stackproof")
    if not found:
        return ()
    return (
        Figure("install_size", "MB", (sum(found.values()) / 1e6,)),
        Figure("packages", "1", (float(len(found)),)),
    )


def lines_to_change(role: str, tool: str, place: Place, options: Options) -> tuple[Figure, ...]:
    """The user's code never changes; in stack.toml the lines that are not those of the embedded default."""
    embedded = default_stack("proof")
    choice = RoleChoice(tool, "own" if place.lock is not None else "shared", options)
    chosen = replace(embedded, roles={**embedded.roles, role: choice})
    before, after = (stack_text(stack).splitlines() for stack in (embedded, chosen))
    new = [line for line in ndiff(before, after) if line.startswith("+ ") and line[2:].strip()]
    return Figure("lines_of_code", "1", (0.0,)), Figure("lines_of_stack", "1", (float(len(new)),))


def versions(tool: str, place: Place, told: str) -> dict[str, str]:
    """Distribution to version: those that the lock was asked for; else Stackproof's own, and what the tool says."""
    if place.lock is not None:
        asked = {_name(requirement) for requirement in place.lock.requirements}
        return {name: pin for name, pin in place.lock.pins.items() if name.lower() in asked}
    own = {"stackproof": version("stackproof")}
    return own if tool == EMBEDDED or not told else own | {tool: told}


def _name(requirement: str) -> str:
    from packaging.requirements import Requirement

    return Requirement(requirement).name.lower()


def bridge_call_ms(home: Path, calls: int = 300) -> float:
    """The median of an empty call to another process: each call of every candidate takes so much longer."""
    made = bridged("tracking", "nothing", adapter=NOTHING, python=Path(sys.executable), setting=Setting(home))
    try:
        made.flush()
        return 1e3 * percentile([timed(made.flush)[1] for _ in range(calls)], 0.5)
    finally:
        made.close()
