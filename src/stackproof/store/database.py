"""One SQLite file, written by one thread of one process at a time, read by all.

WAL, `synchronous=FULL`: what was committed survives a power cut. A kernel lock beside the file orders
the writers, because SQLite's own busy handler is unfair and because its versions before 3.51.3 can
damage a file that two connections write or checkpoint at once: so commits and checkpoints happen
only while the lock is held. See docs/decisions/0001-sqlite-under-one-writer-lock.md.
"""

import atexit
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackproof.errors import Conflict, StackproofError, StorageFailed
from stackproof.store.failures import corrupted, sqlite_errors
from stackproof.store.files import make_folders, sync_folder
from stackproof.store.group_commit import Done, GroupCommit, Write, tell
from stackproof.store.locking import WriterLock
from stackproof.store.schema import Schema, migrate

BUSY_TIMEOUT_S = 60.0
CHECKPOINT_EVERY_BYTES = 8 * 1024 * 1024

_opened: dict[Path, "Database"] = {}
_opening = threading.Lock()
_left_open: list[sqlite3.Connection] = []


class _Thread(threading.local):
    """What the current thread is in the middle of."""

    depth = 0
    reader: sqlite3.Connection | None = None

    def __init__(self) -> None:
        self.joined: list[tuple[Done, BaseException | None]] = []


class Database:
    """Shared by everyone in this process who opened the same path. Open it after a fork, not before."""

    def __init__(self, path: Path) -> None:
        """Use `Database.open`."""
        self.path = path
        self._process = os.getpid()
        self._users = 0
        self._closed = False
        self._failed: StorageFailed | None = None
        self._thread = _Thread()
        self._readers: list[sqlite3.Connection] = []
        self._checkpointed_bytes = 0
        self._lock = WriterLock(path)
        self._queue = GroupCommit(self._commit, f"writer of {path.name}")
        try:
            with self._lock:
                self._writer = _connect(path)
                # Before the first commit, because SQLite ignores it when its own sync of the folder fails.
                sync_folder(path.parent)
        except BaseException:
            self._lock.close()
            raise

    @staticmethod
    def open(path: Path, *schemas: Schema) -> "Database":
        """The one instance for this file; makes the file and its folder, and applies missing migrations.

        Close it as often as it was opened. Raises `RefusedInput` for a file of a later version,
        `Corrupted` for one that is no database.
        """
        resolved = path.resolve()
        with _opening:
            make_folders(resolved.parent)
            database = _opened.get(resolved)
            if database is None or database._process != os.getpid():
                database = Database(resolved)
                atexit.unregister(_close_all)
                atexit.register(_close_all)
            _opened[resolved] = database
            database._users += 1
        try:
            database.add(*schemas)
        except BaseException:
            database.close()
            raise
        return database

    def add(self, *schemas: Schema) -> None:
        """Apply the missing migrations of further schemas. Raises `RefusedInput` for a later version."""
        if schemas:
            with self.transaction() as connection:
                migrate(connection, schemas)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write alone; all or nothing, durable when the outermost block ends.

        An inner block of the same thread joins the outer one; when it raises, its own part is undone
        even if the outer one goes on. Sees what this process enqueued before it began.
        Raises `StorageFull` or `StorageFailed`; after the latter every later write does.
        """
        if self._thread.depth:
            with self._joined() as connection:
                yield connection
            return
        self._refuse_when_unusable()
        self._queue.wait()
        failure: BaseException | None = None
        try:
            with self._commit() as connection, self._outermost():
                yield connection
        except BaseException as error:
            failure = error
            raise
        finally:
            joined, self._thread.joined = self._thread.joined, []
            for done, own_error in joined:
                tell(done, failure or own_error)

    @property
    def in_transaction(self) -> bool:
        """Whether the current thread is inside `transaction`."""
        return self._thread.depth > 0

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for the whole block, however others write.

        Inside this thread's transaction it is the transaction's own state. An inner block joins.
        """
        current = self._writer if self._thread.depth else self._thread.reader
        if current is not None:
            yield current
            return
        self._refuse_when_unusable()
        with sqlite_errors(self.path):
            self._thread.reader = reader = self._take_reader()
            try:
                reader.execute("BEGIN")
                yield reader
            finally:
                self._thread.reader = None
                if reader.in_transaction:
                    reader.execute("ROLLBACK")
                self._readers.append(reader)

    def enqueue(self, write: Write, done: Done | None = None) -> None:
        """Accept a write, to be committed together with others, in the order of the calls.

        `write` may be called a second time, after a roll-back, when one beside it raised.
        `done(None)` is called once it is durable, `done(error)` when it failed: from any thread; it
        must be quick and neither write nor flush. Without `done` the error is raised by this
        thread's next `flush`; and a write that found the disk full is kept and tried again.
        Inside this thread's transaction the write joins it.
        """
        if self._thread.depth:
            self._join(write, done)
            return
        self._refuse_when_unusable()
        if self._failed is None:
            self._queue.put(write, done)
        elif done is None:
            raise self._failed
        else:
            done(self._failed)

    def flush(self) -> None:
        """Return once everything enqueued before is durable; else raise its first error.

        Inside this thread's transaction it has nothing to do: the transaction's end is the flush.
        """
        if not self._thread.depth:
            self._refuse_when_unusable()
            self._queue.flush()

    def close(self) -> None:
        """The last user's call flushes, checkpoints and closes; raises what `flush` raises."""
        with _opening:
            self._users -= 1
            if self._users > 0 or self._closed:
                return
            if _opened.get(self.path) is self:
                del _opened[self.path]
        self._shut()

    def _shut(self) -> None:
        try:
            self._queue.close()
            self._queue.flush()
        finally:
            self._closed = True
            with self._lock:
                self._close_connections()
            self._lock.close()

    def _close_connections(self) -> None:
        """Under the lock, because SQLite checkpoints when the last connection closes."""
        for reader in self._readers:
            reader.close()
        if self._failed is None:
            self._writer.close()
        else:
            # Closing would checkpoint, and a second fsync may claim success for pages that the first lost.
            _left_open.append(self._writer)

    def _refuse_when_unusable(self) -> None:
        if self._closed:
            raise Conflict(f"The store {self.path} was closed", allowed="opening it again")
        if self._process != os.getpid():
            raise Conflict(
                f"The store {self.path} was opened before this process was forked",
                allowed="opening it after the fork, or starting processes with the method 'spawn'",
            )

    @contextmanager
    def _outermost(self) -> Iterator[None]:
        self._thread.depth = 1
        try:
            yield
        finally:
            self._thread.depth = 0

    @contextmanager
    def _joined(self) -> Iterator[sqlite3.Connection]:
        name = f"nested_{self._thread.depth}"
        self._writer.execute(f"SAVEPOINT {name}")
        self._thread.depth += 1
        try:
            yield self._writer
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute(f"ROLLBACK TO {name}")
                self._writer.execute(f"RELEASE {name}")
            raise
        else:
            self._writer.execute(f"RELEASE {name}")
        finally:
            self._thread.depth -= 1

    def _join(self, write: Write, done: Done | None) -> None:
        error: Exception | None = None
        try:
            with self._joined() as connection:
                write(connection)
        except Exception as raised:
            if done is None:
                raise
            error = raised
        if done is not None:
            self._thread.joined.append((done, error))

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction under the lock."""
        with self._lock, sqlite_errors(self.path, self._stop_writing):
            if self._failed is not None:
                raise self._failed
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            self._checkpoint_when_due()

    def _stop_writing(self, failed: StorageFailed) -> None:
        self._failed = failed

    def _checkpoint_when_due(self) -> None:
        """Fold the log into the file. Ours, because SQLite's own ignores a failed fsync of the file."""
        log_bytes = self._log_bytes()
        if log_bytes < self._checkpointed_bytes:
            self._checkpointed_bytes = 0
        if log_bytes - self._checkpointed_bytes > CHECKPOINT_EVERY_BYTES:
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._checkpointed_bytes = log_bytes

    def _log_bytes(self) -> int:
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _take_reader(self) -> sqlite3.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            return _connect(self.path, query_only=True)


def _connect(path: Path, *, query_only: bool = False) -> sqlite3.Connection:
    with sqlite_errors(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            _configure(connection, query_only=query_only)
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged table definition
            connection.close()
            raise corrupted(str(path), error) from error
        except BaseException:
            connection.close()
            raise
    return connection


def _configure(connection: sqlite3.Connection, *, query_only: bool) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StorageFailed(
            "The file system of this store cannot keep a write-ahead log",
            got=f"journal mode {mode!r}",
            allowed="a local disk, not a network share",
        )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA journal_size_limit={CHECKPOINT_EVERY_BYTES}")
    connection.execute("PRAGMA cache_size=-16000")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # makes the log's file
    if query_only:
        connection.execute("PRAGMA query_only=ON")


def _close_all() -> None:
    """At exit: what was accepted becomes durable, and no connection closes without the lock."""
    with _opening:
        left = [database for database in _opened.values() if database._process == os.getpid()]
        _opened.clear()
    for database in left:
        try:
            database._shut()
        except StackproofError as failure:
            print(f"stackproof: {failure}", file=sys.stderr)  # noqa: T201  # nobody is left to catch it
