"""Locks between processes on a file: one that makes, or many that use. A killed holder frees its lock."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stackproof.errors import Unavailable
from stackproof.store.failures import write_errors

POLL_S = 0.1


@contextmanager
def held(path: Path, wait_s: float, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the file's lock alone; gives its descriptor. `waiting` is called once when another holds it.

    Raises `Unavailable` when it is not free after `wait_s` seconds.
    """
    descriptor = _open(path)
    try:
        until, told = time.monotonic() + wait_s, False
        while not _taken(descriptor, fcntl.LOCK_EX):
            if not told:
                waiting()
                told = True
            if time.monotonic() > until:
                raise Unavailable(
                    "Another process has been making this environment for too long",
                    got=f"more than {wait_s:g} s",
                    next_command=f"fuser -v '{path}'",
                )
            time.sleep(POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the file's lock alone, or give False when anybody else has it."""
    descriptor = _open(path)
    try:
        yield _taken(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


class InUse:
    """Holds the file's lock together with any number of others, until closed or until this process ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = _open(path)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path) -> int:
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
