"""The servers that an adapter runs at this moment."""

import threading
from typing import Protocol


class Stoppable(Protocol):
    """A server that serves until `should_exit` is set or a signal comes."""

    should_exit: bool

    def serve_until_stopped(self) -> None: ...


class RunningServers:
    """`stop` may be called from any thread."""

    def __init__(self) -> None:
        self._servers: set[Stoppable] = set()
        self._lock = threading.Lock()

    def serve(self, server: Stoppable) -> None:
        """Returns when it was stopped."""
        with self._lock:
            self._servers.add(server)
        try:
            server.serve_until_stopped()
        finally:
            with self._lock:
                self._servers.discard(server)

    def stop(self) -> None:
        """Ask each to end, as SIGTERM does."""
        with self._lock:
            for server in self._servers:
                server.should_exit = True
