"""What the child prints: the last of it for error messages, all of it for a log file if one is wanted."""

import os
import threading
from pathlib import Path

TAIL = 8192
READ = 1 << 16
LOG_BYTES = 10 << 20


class Output:
    """`log`: a file that is appended to; at `LOG_BYTES` it is moved to the same name with ".1" and begun anew."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._tail = b""

    def read_from(self, descriptor: int) -> bool:
        """Take what is there, at most a few reads of it, without waiting. False at its end."""
        for _ in range(16):
            try:
                printed = os.read(descriptor, READ)
            except BlockingIOError:
                return True
            if not printed:
                return False
            self._take(printed)
        return True

    def tail(self) -> str:
        """The last lines."""
        with self._lock:
            return self._tail.decode(errors="replace").strip()

    def _take(self, printed: bytes) -> None:
        with self._lock:
            self._tail = (self._tail + printed)[-TAIL:]
        if self._log is not None:
            if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
                self._log.replace(self._log.with_name(self._log.name + ".1"))
            with self._log.open("ab") as log:
                log.write(printed)
