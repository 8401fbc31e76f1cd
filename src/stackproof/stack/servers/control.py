"""Telling a project's supervisor what to run, and to end; and looking at what it does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stackproof.errors import Unavailable
from stackproof.stack.processes import is_gone
from stackproof.stack.servers.guarded import GRACE_S, last_lines
from stackproof.stack.servers.places import Places, is_held, taken
from stackproof.stack.servers.plan import Patience, Plan, write_plan
from stackproof.stack.servers.state import ServerState, Standing, carried_out, read_state, write_state

POLL_S = 0.2
LAUNCHES = 3
LONGEST_LOG = 1_000_000
IN_ORDER_S = 2 * (Patience().stop_s + GRACE_S)
"""How long a supervisor may take to end all that it runs."""

Seen = Callable[[Sequence[ServerState]], None]


def bring_up(home: Path, plan: Plan, seen: Seen, waiting: Callable[[], None]) -> tuple[ServerState, ...]:
    """Have the plan carried out, and wait until each of its servers is up or given up: how they then stand.

    `seen` is called again and again meanwhile; `waiting` once if another call is at work, which is waited for. When
    this is interrupted, the supervisor goes on. Raises `Unavailable` when there is no supervisor in the end.
    """
    places = Places(home)
    places.make()
    names = [wanted.spec.name for wanted in plan.servers]
    with _alone(places, waiting):
        write_plan(plan, places.plan)
        launches = LAUNCHES
        while True:
            if not is_held(places.supervisor):
                if not launches or not places.plan.exists():
                    places.plan.unlink(missing_ok=True)
                    raise _no_supervisor(places)
                launches -= 1
                _launch(places)
            if carried_out(places.state) == plan.id:
                states = [state for state in read_state(places.state) if state.name in names]
                seen(states)
                if all(state.standing in (Standing.UP, Standing.FAILED) for state in states):
                    return tuple(states)
            time.sleep(POLL_S)


def bring_down(home: Path) -> tuple[str, ...]:
    """End the supervisor and all servers; the names of those that ran. Nothing happens when none does.

    Returns when no process of theirs is left, also of a supervisor that was killed. Raises `Unavailable` for one
    that does not end.
    """
    places = Places(home)
    ran = [state.name for state in look(home) if state.standing not in (Standing.STOPPED, Standing.FAILED)]
    places.plan.unlink(missing_ok=True)
    for number in (signal.SIGTERM, signal.SIGKILL):
        _tell_supervisor(places, number)
        if _freed(places.supervisor, IN_ORDER_S):
            break
    else:
        raise Unavailable("The supervisor of the servers does not end", next_command=f"fuser -v '{places.supervisor}'")
    states = read_state(places.state)
    for state in states:
        _freed(places.guard(state.name), IN_ORDER_S)
    if any(state.standing is not Standing.STOPPED for state in states):
        write_state(places.state, [replace(s, standing=Standing.STOPPED, pid=0, detail="") for s in states])
    return tuple(ran)


def look(home: Path) -> tuple[ServerState, ...]:
    """How each server stands that was ever wanted; when there is no supervisor, none is more than stopped."""
    places = Places(home)
    states = read_state(places.state)
    if is_held(places.supervisor):
        return states
    return tuple(_without_supervisor(state) for state in states)


def _without_supervisor(state: ServerState) -> ServerState:
    if state.standing in (Standing.STOPPED, Standing.FAILED):
        return state
    return replace(state, standing=Standing.STOPPED, pid=0, detail="its supervisor ended without notice")


@contextmanager
def _alone(places: Places, waiting: Callable[[], None]) -> Iterator[None]:
    told = False
    while True:
        with taken(places.going_up) as descriptor:
            if descriptor is not None:
                yield
                return
        if not told:
            waiting()
        told = True
        time.sleep(POLL_S)


def _launch(places: Places) -> None:
    """Start a supervisor that outlives us; returns once it is at work, or does not get there."""
    log = places.log("supervisor")
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-P", "-m", "stackproof.stack.servers.supervisor", str(places.home)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd=places.folder, start_new_session=True, check=False,
        )  # fmt: skip
    until = time.monotonic() + GRACE_S
    while places.plan.exists() and not is_held(places.supervisor) and time.monotonic() < until:
        time.sleep(POLL_S)


def _no_supervisor(places: Places) -> Unavailable:
    said = last_lines(places.log("supervisor"), 3)
    return Unavailable(
        "The supervisor of the servers is not there any more",
        got="\n  ".join(said) or "it said nothing",
        allowed="it was stopped by `stackproof down`, or died",
        next_command="stackproof logs supervisor",
    )


def _tell_supervisor(places: Places, number: int) -> None:
    """Signal the process that holds the lock; it may be about to write who it is."""
    until = time.monotonic() + GRACE_S
    while is_held(places.supervisor) and time.monotonic() < until:
        if _told(places.supervisor.read_text(encoding="utf-8"), number):
            return
        time.sleep(POLL_S)


def _told(process: str, number: int) -> bool:
    """Signal a process as `processes.this_process` names it. False when it is gone: its number may be another's."""
    if process.count("|") != 2:
        return False
    try:
        descriptor = os.pidfd_open(int(process.split("|")[1]))
    except ProcessLookupError:
        return False
    try:
        if is_gone(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _freed(lock: Path, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while is_held(lock):
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True
