"""Free ports on loopback."""

import socket
import threading

LOOPBACK = "127.0.0.1"


class Ports:
    """Gives each server a port of its own. A port can be lost to another program until the server listens on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: dict[int, str] = {}

    def take(self, name: str, wished: int) -> int:
        """The wished port where it is free and no other server's, else any that is; 0 wishes for none."""
        with self._lock:
            port = wished if wished and self._given.get(wished, name) == name and is_free(wished) else 0
            while not port or self._given.get(port, name) != name:
                port = _any_free()
            self._given = {number: owner for number, owner in self._given.items() if owner != name} | {port: name}
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError):
            return False
        return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
