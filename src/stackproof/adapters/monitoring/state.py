"""Keeping watches: a restarted monitor goes on at its position, with its window and its alarms."""

import copy
import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass
from itertools import chain

from stackproof.adapters.monitoring.columns import Rows, from_lists, read_rows, to_lists
from stackproof.adapters.monitoring.drift import Watch
from stackproof.adapters.monitoring.reference import Reference
from stackproof.errors import NotFound
from stackproof.roles.monitoring import ColumnKind, Finding, Policy
from stackproof.roles.table import Table
from stackproof.store.schema import Schema
from stackproof.store.store import Store

SCHEMA = Schema(
    "monitoring",
    (
        """
        CREATE TABLE watches (
            name TEXT PRIMARY KEY,
            reference TEXT NOT NULL,
            columns TEXT NOT NULL,
            policy TEXT NOT NULL,
            position INTEGER NOT NULL,
            in_alarm TEXT NOT NULL,
            state TEXT NOT NULL
        );
        CREATE TABLE watched_rows (
            name TEXT NOT NULL,
            stop INTEGER NOT NULL,
            count INTEGER NOT NULL,
            numbers TEXT NOT NULL,
            texts TEXT NOT NULL,
            PRIMARY KEY (name, stop)
        ) WITHOUT ROWID;
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A watch and the state that it is in: a digest of all that it was started with and has seen."""

    state: str
    watch: Watch


class Watches:
    """The watches in a store, by name. Threads and processes may share it: what one took, the others see."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Kept] = {}

    def start(self, name: str, watch: Watch) -> None:
        """Keep a new watch, replacing one of the same name. Durable when it returns."""
        data = watch.reference.to_bytes()
        columns = json.dumps([[column, kind] for column, kind in watch.columns.items()])
        policy = json.dumps(asdict(watch.policy))
        with self._store.database.transaction() as connection:
            digest = self._store.blobs.put_bytes(data)
            state = _digest("", digest, columns, policy)
            replaced = connection.execute("SELECT reference FROM watches WHERE name = ?", (name,)).fetchone()
            connection.execute("DELETE FROM watched_rows WHERE name = ?", (name,))
            connection.execute(
                "INSERT OR REPLACE INTO watches VALUES (?, ?, ?, ?, 0, '[]', ?)",
                (name, digest, columns, policy, state),
            )
        self._known[name] = Kept(state, watch)
        if replaced is not None:
            self._forget_reference(*replaced)

    def observe(self, name: str, table: Table) -> list[Finding]:
        """Take the rows of the table. Durable when it returns.

        The tests run without holding the store; when another took rows meanwhile, they run again
        on what it left. Raises `NotFound` for a name not started, `InvalidTable` for a missing
        column.
        """
        while True:
            kept = self._current(name)
            rows = read_rows(table, kept.watch.columns)
            watch = copy.copy(kept.watch)
            findings = watch.observe(rows)
            lists = [json.dumps(part) for part in to_lists(watch.latest(rows.count))]
            state = _digest(kept.state, str(rows.count), *lists)
            with self._store.database.transaction() as connection:
                is_current = _state(connection, name) == kept.state
                if is_current:
                    _advance(connection, name, watch, state, min(rows.count, watch.policy.window), lists)
            if is_current:
                self._known[name] = Kept(state, watch)
                return findings

    def position(self, name: str) -> int:
        """How many rows were observed. Raises `NotFound`."""
        with self._store.database.read() as connection:
            row = connection.execute("SELECT position FROM watches WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise _not_started(name)
        return int(row[0])

    def _current(self, name: str) -> Kept:
        with self._store.database.read() as connection:
            state = _state(connection, name)
            known = self._known.get(name)
            if known is None or known.state != state:
                known = Kept(state, self._load(connection, name))
                self._known[name] = known
        return known

    def _load(self, connection: sqlite3.Connection, name: str) -> Watch:
        digest, columns, policy, position, in_alarm = connection.execute(
            "SELECT reference, columns, policy, position, in_alarm FROM watches WHERE name = ?", (name,)
        ).fetchone()
        batches = connection.execute(
            "SELECT count, numbers, texts FROM watched_rows WHERE name = ? ORDER BY stop", (name,)
        ).fetchall()
        watch = Watch(
            {column: ColumnKind(kind) for column, kind in json.loads(columns)},
            Policy(**json.loads(policy)),
            Reference.from_bytes(self._store.blobs.read(digest)),
        )
        if batches:
            watch.resume(position, frozenset(json.loads(in_alarm)), _joined(batches))
        return watch

    def _forget_reference(self, digest: str) -> None:
        with self._store.database.transaction() as connection:
            used = connection.execute("SELECT 1 FROM watches WHERE reference = ?", (digest,)).fetchone()
            if used is None:
                self._store.blobs.delete(digest)


def _state(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT state FROM watches WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise _not_started(name)
    return str(row[0])


def _advance(connection: sqlite3.Connection, name: str, watch: Watch, state: str, count: int, lists: list[str]) -> None:
    connection.execute(
        "UPDATE watches SET position = ?, in_alarm = ?, state = ? WHERE name = ?",
        (watch.position, json.dumps(sorted(watch.in_alarm)), state, name),
    )
    if count:
        connection.execute("INSERT INTO watched_rows VALUES (?, ?, ?, ?, ?)", (name, watch.position, count, *lists))
        connection.execute(
            "DELETE FROM watched_rows WHERE name = ? AND stop <= ?",
            (name, watch.position - watch.policy.window),
        )


def _joined(batches: list[tuple[int, str, str]]) -> Rows:
    """The rows of all batches, in order."""
    numbers = [json.loads(batch[1]) for batch in batches]
    texts = [json.loads(batch[2]) for batch in batches]
    return from_lists(
        [list(chain.from_iterable(parts)) for parts in zip(*numbers, strict=True)],
        [list(chain.from_iterable(parts)) for parts in zip(*texts, strict=True)],
        sum(batch[0] for batch in batches),
    )


def _digest(*parts: str) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(hashlib.sha256(part.encode()).digest())
    return hasher.hexdigest()


def _not_started(name: str) -> NotFound:
    return NotFound(f"No monitor named {name!r} was started", allowed="a name given to start")
