"""The one file that a tuner keeps of a study: its name, its runner, and what goes wrong with it."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from stackproof.errors import Conflict, Corrupted, Unavailable, not_written
from stackproof.roles.tuning import Choice, FloatRange, IntRange, Space
from stackproof.store.files import sync


def file_of(home: Path, name: str) -> Path:
    return home / f"{key_of(name)}.journal"


def key_of(name: str) -> str:
    """A short name for files, different for different studies."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@contextmanager
def held(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The file, to read and append to, made when there is none; the lock goes with the process, whatever ends it.

    Raises `Unavailable` while another process or thread holds it, `StorageFailed`.
    """
    with ExitStack() as stack:
        with storage_errors(name):
            file = stack.enter_context(path.open("a+b"))
            sync(path.parent)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise Unavailable(f"The study {name!r} is being run by another process or thread") from taken
        yield file


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Map what the file system raises inside the block. Raises `StorageFull`, `StorageFailed`."""
    try:
        yield
    except OSError as error:
        raise not_written(f"The journal of the study {name!r} could not be written", error) from error


def unreadable(name: str, why: object) -> Corrupted:
    return Corrupted(f"The journal of the study {name!r} cannot be read", got=why)


def check_same(name: str, what: str, *, asked: str, known: str) -> None:
    """Raises `Conflict` for a study with another space or direction."""
    if asked != known:
        raise Conflict(f"The study {name!r} exists with another {what}", got=asked, allowed=known)


def described(space: Space) -> str:
    """A text that two spaces share only when they are the same; the order of names does not matter."""
    return json.dumps({name: _described_domain(domain) for name, domain in space.items()}, sort_keys=True)


def _described_domain(domain: FloatRange | IntRange | Choice) -> dict[str, object]:
    if isinstance(domain, Choice):
        return {"choice": list(domain.values)}
    kind, number = ("int", int) if isinstance(domain, IntRange) else ("float", float)
    return {kind: [number(domain.low), number(domain.high)], "log": domain.log}
