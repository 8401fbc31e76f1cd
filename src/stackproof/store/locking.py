"""The lock that lets one thread of one process write."""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType

from stackproof.store.failures import write_errors


class WriterLock:
    """Exclusive over processes and threads. Waiters sleep in the kernel; a killed holder frees it.

    A waiter first takes its place at a turnstile and leaves it when it has the lock. So who releases
    the lock and wants it again stands behind whoever is waiting already: nobody starves.
    """

    def __init__(self, database: Path) -> None:
        self._path = database
        self._turnstile = threading.Lock()
        self._mutex = threading.Lock()
        with write_errors(database):
            self._file_turnstile = _open(database.with_name(database.name + ".turn"))
            self._file = _open(database.with_name(database.name + ".lock"))

    def __enter__(self) -> None:
        with self._turnstile:
            self._mutex.acquire()
        try:
            with write_errors(self._path):
                fcntl.flock(self._file_turnstile, fcntl.LOCK_EX)
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX)
                finally:
                    fcntl.flock(self._file_turnstile, fcntl.LOCK_UN)
        except BaseException:
            self._mutex.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._mutex.release()

    def close(self) -> None:
        """Release the lock files. Not while the lock is held."""
        os.close(self._file)
        os.close(self._file_turnstile)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
