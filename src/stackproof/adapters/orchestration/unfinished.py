"""Runs whose process was killed, which a tool would show as running for ever."""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KILLED = "The process that ran it was killed"
_LOG = logging.getLogger(__name__)


class Unfinished:
    """A file in `folder` for each run under way, which the process that runs it holds locked as long as it lives.

    Nothing here stops the run that is to begin: what goes wrong is a warning.
    """

    def __init__(self, tool: str, folder: Path) -> None:
        """`tool` as people write it."""
        self._tool = tool
        self._folder = folder

    @contextmanager
    def under_way(self, run: str) -> Iterator[None]:
        """`run`: as the tool identifies it; the name of a file."""
        mark, unseen = self._folder / run, self._folder / f".{run}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = unseen.open("wb")
        except OSError as error:
            _LOG.warning("%s will not notice if the process of the run %s is killed: %s", self._tool, run, error)
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            unseen.rename(mark)  # locked before anybody finds it
            try:
                yield
            finally:
                with suppress(OSError):
                    mark.unlink()

    def tell(self, record: Callable[[str], None]) -> None:
        """Call `record` with each run of a process that is gone, once; again the next time where it raises."""
        for mark in sorted(self._folder.glob("[!.]*")):
            try:
                with mark.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if mark.exists():
                        record(mark.name)
                        mark.unlink()
            except (BlockingIOError, FileNotFoundError):
                continue  # its process lives, or another one told it
            except Exception as error:  # noqa: BLE001  # a tool raises what its own libraries raise
                _LOG.warning("%s could not record that the run %s was killed: %s", self._tool, mark.name, error)
