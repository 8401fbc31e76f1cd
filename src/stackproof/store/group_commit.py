"""Writes that are committed together: one fsync for many of them."""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from stackproof.errors import Conflict, StackproofError, StorageFull

Write: TypeAlias = Callable[[sqlite3.Connection], None]
Done: TypeAlias = Callable[[BaseException | None], None]

WRITES_PER_COMMIT = 1_000
WRITES_WAITING_AT_MOST = 100_000
RETRY_WHEN_FULL_S = 1.0
_ERRORS_KEPT = 1_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    number: int
    write: Write
    done: Done | None


class _Flushed(threading.local):
    """Up to which write this thread has been told of errors."""

    number = 0


class GroupCommit:
    """The queue and the one thread that commits it, `commit()` being one durable transaction.

    Only that thread commits, because it is never interrupted by a signal: so an accepted write is
    neither lost nor written twice when somebody presses Ctrl-C.
    """

    def __init__(self, commit: Callable[[], AbstractContextManager[sqlite3.Connection]], name: str) -> None:
        self._commit = commit
        self._name = name
        state = threading.Lock()
        self._work = threading.Condition(state)
        self._progress = threading.Condition(state)
        self._state = state
        self._waiting: deque[_Waiting] = deque()
        self._accepted = 0
        self._settled = 0
        self._attempts = 0
        self._full: StorageFull | None = None
        self._errors: deque[tuple[int, BaseException]] = deque(maxlen=_ERRORS_KEPT)
        self._flushed = _Flushed()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, write: Write, done: Done | None) -> None:
        """Accept a write. Waits while too many are waiting; raises `StorageFull` when that will not end."""
        with self._state:
            while len(self._waiting) >= WRITES_WAITING_AT_MOST and not self._is_writer():
                if self._full is not None:
                    raise self._full
                self._progress.wait()
            self._accepted += 1
            self._waiting.append(_Waiting(self._accepted, write, done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._work.notify()

    def wait(self) -> None:
        """Return once every write accepted before is durable or has failed. Raises `StorageFull`."""
        if self._accepted == self._settled:
            return
        if self._is_writer():
            raise Conflict("A callback of an enqueued write waits for enqueued writes, which is itself")
        with self._state:
            until, attempts = self._accepted, self._attempts
            self._work.notify()
            while self._settled < until:
                if self._full is not None and (self._attempts > attempts or self._closing):
                    raise self._full
                self._progress.wait()

    def flush(self) -> None:
        """Return once every write accepted before is durable; else raise the first error of those.

        Each thread is told once of an error that had no callback.
        """
        until = self._accepted
        self.wait()
        told_before, self._flushed.number = self._flushed.number, until
        with self._state:
            mine = [error for number, error in self._errors if told_before < number <= until]
        if mine:
            raise mine[0]

    def close(self) -> None:
        """Stop the thread, once what was accepted has been tried a last time."""
        with self._state:
            self._closing = True
            self._work.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._state:
                while not self._waiting and not self._closing:
                    self._work.wait()
                if not self._waiting:
                    return
            self._commit_batch()
            with self._state:
                if self._full is not None:
                    if self._closing:
                        return
                    self._work.wait(RETRY_WHEN_FULL_S)

    def _commit_batch(self) -> None:
        batch: list[_Waiting] = []
        full: StorageFull | None = None
        try:
            errors = self._attempt(batch)
        except (StackproofError, sqlite3.Error) as failure:
            full = failure if isinstance(failure, StorageFull) else None
            batch = batch or self._take()
            errors = [failure] * len(batch)
        settled = list(zip(batch, errors, strict=True))
        self._settle(settled, full)
        for waiting, error in settled:
            if waiting.done is not None:
                tell(waiting.done, error)

    def _attempt(self, batch: list[_Waiting]) -> list[BaseException | None]:
        """All together; and when one of them raises, all again, each in a savepoint of its own.

        The batch is filled once the lock is held, so that it has what came while waiting for it.
        """
        try:
            with self._commit() as connection:
                batch += self._take()
                for waiting in batch:
                    waiting.write(connection)
        except StackproofError as error:
            if isinstance(error, StorageFull) or not batch:
                raise
        except Exception as error:  # noqa: BLE001  # a caller's code; found again, and kept, just below
            _log.debug("An enqueued write raised: %r", error)
        else:
            return [None] * len(batch)
        with self._commit() as connection:
            return [_run_isolated(connection, waiting.write) for waiting in batch]

    def _take(self) -> list[_Waiting]:
        with self._state:
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), WRITES_PER_COMMIT))]

    def _settle(self, settled: Sequence[tuple[_Waiting, BaseException | None]], full: StorageFull | None) -> None:
        silent = [(waiting, error) for waiting, error in settled if waiting.done is None]
        with self._state:
            self._full = full
            self._attempts += 1
            self._settled = settled[-1][0].number
            if full is not None and silent:
                self._waiting.extendleft(waiting for waiting, _ in reversed(silent))
                self._settled = silent[0][0].number - 1
            else:
                self._errors.extend((waiting.number, error) for waiting, error in silent if error is not None)
            self._progress.notify_all()

    def _is_writer(self) -> bool:
        return threading.current_thread() is self._thread


def tell(done: Done, error: BaseException | None) -> None:
    """Call a callback. When it raises that is logged, and stops nobody else."""
    try:
        done(error)
    except Exception:  # noqa: BLE001  # a caller's code; it must not stop the writes of others
        _log.exception("The callback of an enqueued write raised")


def _run_isolated(connection: sqlite3.Connection, write: Write) -> BaseException | None:
    """Run one write in a savepoint. Its own error is returned; one of the storage ends the batch."""
    connection.execute("SAVEPOINT one_write")
    try:
        write(connection)
    except Exception as error:
        if _is_of_storage(error):
            raise
        if not connection.in_transaction:
            raise Conflict("An enqueued write ended the transaction that it was part of") from error
        connection.execute("ROLLBACK TO one_write")
        connection.execute("RELEASE one_write")
        return error
    connection.execute("RELEASE one_write")
    return None


_OF_STORAGE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT})


def _is_of_storage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _OF_STORAGE
