"""The supervisor of a project's servers: a process of its own, one at a time, that ends with all of them.

python -m stackproof.stack.servers.supervisor HOME
"""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from stackproof.envs.holding import InUse
from stackproof.errors import Corrupted, StorageFailed
from stackproof.stack.processes import this_process
from stackproof.stack.servers.guard import ADOPT_ORPHANS
from stackproof.stack.servers.keeping import SETTLED, Keeper
from stackproof.stack.servers.places import Places, taken
from stackproof.stack.servers.plan import Plan, Wanted, take_plan
from stackproof.stack.servers.ports import Ports
from stackproof.stack.servers.state import ServerState, Standing, write_state

TAKE_OVER_S = 60.0
"""How long it waits for an earlier supervisor to end."""

POLL_S = 0.3


class Supervisor:
    """Carries out plans until it is told to end. The main thread reads plans and writes the state."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._keepers: dict[str, Keeper] = {}
        self._uses: dict[str, InUse] = {}
        self._ports = Ports()
        self._changed = threading.Event()
        self._said: list[str] = []
        self._plan = ""
        self._written: tuple[str, list[ServerState]] | None = None
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            self._read_plan()
            self._write()
            if self._changed.wait(POLL_S):
                self._changed.clear()
        self._stop(list(self._keepers))
        for use in self._uses.values():
            use.close()
        self._write()

    def _read_plan(self) -> None:
        try:
            plan = take_plan(self._places.plan)
        except (Corrupted, OSError) as problem:
            say(str(problem))
            return
        if plan is not None:
            self._carry_out(plan)
            self._plan = plan.id

    def _carry_out(self, plan: Plan) -> None:
        wanted = {one.spec.name: one for one in plan.servers}
        others = [name for name in self._keepers if name not in wanted and plan.alone]
        changed = [name for name, one in wanted.items() if name in self._keepers and not self._goes_on(one)]
        self._stop([*others, *changed])
        for name in (*others, *changed):
            del self._keepers[name]
        new = [one for name, one in wanted.items() if name not in self._keepers]
        for one in new:
            self._hold(one)
            self._keepers[one.spec.name] = Keeper(
                one, self._places, plan.patience, self._ports, self._settled, self._changed.set
            )
        self._keepers = {name: self._keepers[name] for name in dict.fromkeys([*wanted, *self._keepers])}
        for one in new:
            self._keepers[one.spec.name].start()

    def _goes_on(self, wanted: Wanted) -> bool:
        """What was given up is tried again when it is asked for again."""
        keeper = self._keepers[wanted.spec.name]
        failed = keeper.state.standing in (Standing.FAILED, Standing.STOPPED)
        return keeper.wanted.spec == wanted.spec and not failed

    def _hold(self, wanted: Wanted) -> None:
        if wanted.in_use and wanted.in_use not in self._uses:
            try:
                self._uses[wanted.in_use] = InUse(Path(wanted.in_use))
            except StorageFailed as problem:
                say(f"{wanted.spec.name}: its environment can't be kept from being removed: {problem}")

    def _settled(self, name: str) -> bool:
        keeper = self._keepers.get(name)
        return keeper is None or keeper.state.standing in SETTLED

    def _stop(self, names: list[str]) -> None:
        for name in names:
            self._keepers[name].stop()
        for name in names:
            self._keepers[name].join()

    def _write(self) -> None:
        """On a full disk the state stays as it was last written, until there is room."""
        states = [keeper.state for keeper in self._keepers.values()]
        lines = [f"{state.name}: {state.standing}{f', {state.detail}' if state.detail else ''}" for state in states]
        for line in lines:
            if line not in self._said:
                say(line)
        self._said = lines
        if (self._plan, states) != self._written:
            with suppress(StorageFailed):
                write_state(self._places.state, states, self._plan)
                self._written = self._plan, states


def say(line: str) -> None:
    """To the supervisor's log, which is its output; a full disk must not end it."""
    try:
        sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")
        sys.stdout.flush()
    except OSError:
        return


def main(home: str) -> None:
    """Leave whoever called, then supervise until SIGTERM. Ends quietly when another supervisor stays."""
    if os.fork():
        os._exit(0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1)
    places, until = Places(Path(home)), time.monotonic() + TAKE_OVER_S
    while time.monotonic() < until:
        with taken(places.supervisor) as lock:
            if lock is not None:
                _supervise(places, lock)
                return
        time.sleep(POLL_S)
    say("another supervisor is at work, so this one ends")


def _supervise(places: Places, lock: int) -> None:
    os.truncate(lock, 0)
    os.pwrite(lock, this_process().encode(), 0)
    supervisor = Supervisor(places)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.ending.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1])
