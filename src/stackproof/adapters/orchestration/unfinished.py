"""Runs whose process was killed, which a tool would show as running for ever."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KILLED = "The process that ran it was killed"


class Unfinished:
    """A file in `folder` for each run under way, which the process that runs it holds locked as long as it lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def under_way(self, run: str) -> Iterator[None]:
        """`run`: as the tool identifies it; the name of a file. Raises `OSError`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        mark, unseen = self._folder / run, self._folder / f".{run}"
        with unseen.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            unseen.rename(mark)  # locked before anybody finds it
            try:
                yield
            finally:
                mark.unlink(missing_ok=True)

    def left(self) -> Iterator[str]:
        """The runs of processes that are gone. Each is forgotten when the next one is asked for. Raises `OSError`."""
        if not self._folder.is_dir():
            return
        for mark in sorted(self._folder.glob("[!.]*")):
            with suppress(BlockingIOError, FileNotFoundError), mark.open("rb") as file:  # it lives, or others told it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield mark.name
                mark.unlink(missing_ok=True)
