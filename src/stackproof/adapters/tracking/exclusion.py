"""One thread of one process at a time, for tools that check nothing between a read and a write."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Exclusion:
    """A lock file at `path`. The thread that holds it may take it again; a killed holder frees it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._threads:
            if self._depth:
                yield
                return
            with self._path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._depth = 1
                try:
                    yield
                finally:
                    self._depth = 0
