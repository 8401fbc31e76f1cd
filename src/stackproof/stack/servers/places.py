"""Where the servers of a project keep their files, and the locks that say who runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stackproof.store.failures import write_errors
from stackproof.store.files import make_folders


@dataclass(frozen=True, slots=True)
class Places:
    """Files below the project's home. Who holds the lock on `supervisor` is the supervisor; the file names it."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "servers"

    @property
    def supervisor(self) -> Path:
        return self.folder / "supervisor.lock"

    @property
    def going_up(self) -> Path:
        """The lock of a `stackproof up` at work."""
        return self.folder / "up.lock"

    @property
    def plan(self) -> Path:
        """What an `up` wants, until the supervisor has read it. It may hold secrets: only its owner reads it."""
        return self.folder / "plan.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def guard(self, name: str) -> Path:
        """The lock of the guard of a server: while it is held, something of that server may still run."""
        return self.folder / f"{_file_name(name)}.lock"

    def log(self, name: str) -> Path:
        return self.home / "logs" / "servers" / f"{_file_name(name)}.log"

    def make(self) -> None:
        """Raises `StorageFailed`."""
        for folder in (self.folder, self.log("any").parent):
            make_folders(folder)
        with write_errors(self.folder):
            self.folder.chmod(0o700)


def _file_name(name: str) -> str:
    return quote(name, safe=" @+=,")


@contextmanager
def taken(path: Path) -> Iterator[int | None]:
    """Hold the file's lock; gives its descriptor, or None at once when another process holds it."""
    with write_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor if _locked(descriptor) else None
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the file's lock. The lock of one that was killed is free."""
    if not path.exists():
        return False
    with taken(path) as descriptor:
        return descriptor is None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
