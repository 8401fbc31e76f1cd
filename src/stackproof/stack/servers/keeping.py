"""One server kept up: started, watched, started again, and given up when that does not help."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from stackproof.roles.adapter import ServerSpec
from stackproof.stack.servers.guarded import Guarded, last_lines, why_unwell
from stackproof.stack.servers.places import Places, is_held
from stackproof.stack.servers.plan import Patience, Wanted
from stackproof.stack.servers.ports import Ports, is_free
from stackproof.stack.servers.state import ServerState, Standing

POLL_S = 0.2
LAST_LINES = 8
SETTLED = (Standing.UP, Standing.FAILED, Standing.STOPPED)

Settled = Callable[[str], bool]
"""Whether the server of this name is up, given up or not wanted."""


class Keeper:
    """Keeps one server up, in a thread of its own, until it is stopped. `changed` is called after each change."""

    def __init__(
        self,
        wanted: Wanted,
        places: Places,
        patience: Patience,
        ports: Ports,
        settled: Settled,
        changed: Callable[[], None],
    ) -> None:
        self.wanted = wanted
        self._places, self._patience, self._ports = places, patience, ports
        self._settled, self._changed = settled, changed
        self._stopping = threading.Event()
        self._port = wanted.previous_port
        self._in_a_row = 0
        self.state = ServerState(wanted.spec.name, Standing.WAITING, _now())
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {wanted.spec.name}", daemon=True)

    def start(self) -> None:
        """Once those that it comes after are known as well."""
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; `join` waits until nothing of the server runs."""
        self._stopping.set()

    def join(self) -> None:
        self._thread.join()

    def _keep(self) -> None:
        self._wait_until(lambda: all(self._settled(name) for name in self.wanted.after))
        self._wait_until(lambda: not is_held(self._places.guard(self.wanted.spec.name)))
        while not self._stopping.is_set():
            spec = self._with_port()
            if spec is None:
                return
            problem = self._life_of(spec)
            if self._stopping.is_set():
                break
            if self._in_a_row >= self._patience.restarts:
                self._stand(Standing.FAILED, pid=0, detail=f"given up: {problem}{self._last_words()}")
                return
            self._pause(problem)
        self._stand(Standing.STOPPED, pid=0, detail="")

    def _with_port(self) -> ServerSpec | None:
        """None when the user's port is taken: then it was given up."""
        spec = self.wanted.spec
        if not spec.url:
            return spec
        if spec.port and not is_free(spec.port):
            self._stand(Standing.FAILED, pid=0, detail=f"the port {spec.port}, which was asked for, is taken")
            return None
        self._port = spec.port or self._ports.take(spec.name, self._port)
        return spec.at(self._port)

    def _life_of(self, spec: ServerSpec) -> str:
        """From its start to its end: why it ended."""
        self._stand(
            Standing.STARTING, url=spec.url, health=spec.health, port=spec.port, options=spec.options, detail=""
        )
        try:
            server = Guarded(spec, self._places, self._patience)
        except OSError as error:
            return f"its guard could not be started: {error}"
        try:
            return self._became_ready(server, spec) or self._watched(server, spec)
        finally:
            server.stop()

    def _became_ready(self, server: Guarded, spec: ServerSpec) -> str:
        """ "" once it is ready, else why it never was."""
        until = time.monotonic() + spec.start_s
        while not self._stopping.is_set():
            server.listen(POLL_S)
            if server.ended:
                return f"it ended while it started, {server.ended}"
            if server.pid and server.pid != self.state.pid:
                self._stand(Standing.STARTING, pid=server.pid)
            unwell = _unready(server, spec)
            if not unwell:
                return ""
            if time.monotonic() > until:
                return f"it was not ready after {spec.start_s:g} s: {unwell}"
        return "stopped"

    def _watched(self, server: Guarded, spec: ServerSpec) -> str:
        """Until it ends, stays unwell, or is stopped: why."""
        self._stand(Standing.UP, detail="")
        began, misses, next_check = time.monotonic(), 0, time.monotonic() + self._patience.check_s
        while not self._stopping.is_set():
            server.listen(POLL_S)
            if server.ended:
                return f"it ended, {server.ended}"
            if time.monotonic() < next_check:
                continue
            next_check = time.monotonic() + self._patience.check_s
            unwell = why_unwell(spec.health) if spec.health else ""
            misses = misses + 1 if unwell else 0
            if misses >= self._patience.misses:
                return f"{misses} health checks failed in a row: {unwell}"
            self._note(unwell)
            if time.monotonic() - began > self._patience.steady_s:
                self._in_a_row = 0
        return "stopped"

    def _note(self, unwell: str) -> None:
        standing = Standing.UNWELL if unwell else Standing.UP
        if standing is not self.state.standing:
            self._stand(standing, detail=unwell)

    def _pause(self, problem: str) -> None:
        pause = min(self._patience.first_pause_s * 2**self._in_a_row, self._patience.longest_pause_s)
        self._in_a_row += 1
        self._stand(Standing.RESTARTING, pid=0, detail=problem, restarts=self.state.restarts + 1)
        self._stopping.wait(pause)

    def _stand(self, standing: Standing, **what: object) -> None:
        since = self.state.since if standing is self.state.standing else _now()
        self.state = replace(self.state, standing=standing, since=since, **what)  # type: ignore[arg-type]  # its own fields
        self._changed()

    def _last_words(self) -> str:
        lines = last_lines(self._places.log(self.wanted.spec.name), LAST_LINES)
        return "".join(f"\n  {line}" for line in lines) or "; it printed nothing"

    def _wait_until(self, done: Callable[[], bool]) -> None:
        while not self._stopping.is_set() and not done():
            self._stopping.wait(POLL_S)


def _unready(server: Guarded, spec: ServerSpec) -> str:
    if not server.pid:
        return "it waits for the end of an earlier one"
    if spec.health:
        return why_unwell(spec.health)
    return "" if server.ready or not spec.ready else f"it did not print {spec.ready!r}"


def _now() -> datetime:
    return datetime.now(UTC)
