"""A candidate: a tool that can be opened, again and again, each time in a process of its own."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stackproof.errors import StackproofError
from stackproof.roles.proof import Figure

WAIT_S = 60.0


class Running(Protocol):
    """An adapter that was opened, and the process in which it runs."""

    @property
    def adapter(self) -> Any:
        """The contract's object."""
        ...

    @property
    def pid(self) -> int | None:
        """Of the process that the tool runs in; None when it runs no more."""
        ...

    def stop(self) -> None:
        """Ask the process to end what it serves, as SIGTERM does."""
        ...

    def kill(self) -> None:
        """SIGKILL to the process and to all that descend from it. Returns when they are gone."""
        ...

    def close(self) -> None:
        """Close the adapter and end its process. Idempotent; never raises because the process is dead."""
        ...


Opener = Callable[[Path], Running]
"""Opens the candidate over a folder, which exists and may hold what an earlier one left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """`measured`: what was measured of it before any round: its installation, the lines to change.

    `import_s`: imports the tool in a new process and returns the seconds; None where nothing is imported.
    """

    tool: str
    open: Opener
    import_s: Callable[[], float] | None = None
    measured: tuple[Figure, ...] = field(default_factory=tuple)


class Writer:
    """Makes calls one after the other in a thread of its own, and counts those that returned.

    `attempted` grows before a call, `acknowledged` after it. It ends at the first error of ours, which `error` holds.
    """

    def __init__(self, call: Callable[[int], object]) -> None:
        self.attempted = 0
        self.acknowledged = 0
        self.error: StackproofError | None = None
        self._call = call
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while not self._stop.is_set():
            number = self.attempted
            self.attempted += 1
            try:
                self._call(number)
            except StackproofError as error:
                self.error = error
                return
            self.acknowledged += 1

    def wait_for(self, acknowledged: int, within_s: float = WAIT_S) -> bool:
        """False when it ended, or took longer, before that many calls were acknowledged."""
        until = time.monotonic() + within_s
        while self.acknowledged < acknowledged and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.002)
        return self.acknowledged >= acknowledged

    def end(self) -> None:
        """Start no further call, and wait for the one under way."""
        self._stop.set()
        self._thread.join(WAIT_S)

    def kill(self, running: Running, acknowledged: int, *, later_s: float = 0.0) -> tuple[bool, float]:
        """Kill the tool under the writer, `later_s` after so many calls were acknowledged, and end both.

        Returns whether they were acknowledged, and when the kill was, by `time.perf_counter`.
        """
        reached = self.wait_for(acknowledged)
        time.sleep(later_s)
        running.kill()
        killed = time.perf_counter()
        self.end()
        running.close()
        return reached, killed
