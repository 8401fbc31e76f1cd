"""Watches with the tests of a foreign tool: which looks are due, which findings are new, kept in a database.

The tool brings `Tests`; the false alarms of all its tests add up to the policy's bound, or less.
"""

import sqlite3
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from json import dumps, loads
from pathlib import Path
from typing import Any, Protocol

from stackproof.adapters.monitoring.arrow_rows import bytes_of, normalised, table_of, watched
from stackproof.errors import Conflict, NotFound, RefusedInput, StorageFailed
from stackproof.roles.monitoring import ColumnKind, Finding, Policy
from stackproof.roles.table import Table

WAIT_S = 60.0
MOST_LEVEL = 0.05
SCHEMA = """
CREATE TABLE IF NOT EXISTS watches (
    name TEXT PRIMARY KEY, started TEXT NOT NULL, columns TEXT NOT NULL, policy TEXT NOT NULL, reference BLOB NOT NULL,
    position INTEGER NOT NULL, in_alarm TEXT NOT NULL, latest BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Breach:
    """A test whose p-value is below its threshold."""

    column: str
    test: str
    statistic: float
    p_value: float
    threshold: float
    effect: str


class Tests(Protocol):
    """A reference, prepared once for all looks. `tests`: how many of them a look makes."""

    @property
    def tests(self) -> int: ...

    def breaches(self, window: Any, level: float) -> Iterator[Breach]:
        """Each test of the window, an Arrow table, that a reference's window fails with chance `level` or less."""
        ...


Prepare = Callable[[Any, Mapping[str, ColumnKind]], Tests]
"""From the reference, an Arrow table of the watched columns."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What was started. `started` differs each time, so that a prepared reference is known to be of this watch."""

    name: str
    started: str
    columns: Mapping[str, ColumnKind]
    policy: Policy
    reference: Any
    tests: Tests

    @property
    def level(self) -> float:
        """Of one test: the false alarms of all tests of all looks add up to the policy's, or less."""
        looks_per_million = 1e6 / self.policy.every
        return min(MOST_LEVEL, self.policy.false_alarms_per_million / looks_per_million / self.tests.tests)


@dataclass(frozen=True, slots=True)
class Look:
    """`rows` end at the position `end`, not included."""

    end: int
    rows: Any
    findings: tuple[Finding, ...]


class WatchBook:
    """The watches below one folder. Threads and processes may share it; what it did is durable when it returns."""

    def __init__(self, home: Path, prepare: Prepare) -> None:
        self._home = home
        self._prepare = prepare
        self._lock = threading.Lock()
        self._prepared: dict[str, Watch] = {}
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def check(self) -> None:
        """Raises `StorageFailed` when the watches can't be read or written, `Conflict` when closed."""
        with self._database():
            pass

    def start(self, name: str, reference: Table, columns: Mapping[str, ColumnKind], policy: Policy) -> None:
        """As the contract's `start`; raises `RefusedInput` for no column or a policy that can't be kept."""
        _check(columns, policy)
        kinds = {column: ColumnKind(kind) for column, kind in columns.items()}
        rows = normalised(watched(reference, kinds, "reference"), kinds)
        described = dumps([[column, kind] for column, kind in kinds.items()])
        identity = (name, uuid.uuid4().hex, described, dumps(asdict(policy)))
        with self._database() as database:
            database.execute(
                "INSERT OR REPLACE INTO watches VALUES (?, ?, ?, ?, ?, 0, '[]', ?)",
                (*identity, bytes_of(rows), bytes_of(rows.slice(0, 0))),
            )

    def observe(self, name: str, rows: Table) -> tuple[Watch, list[Look]]:
        """Take the rows; the looks that became due, in order."""
        looks: list[Look] = []
        with self._database() as database:
            watch, position, in_alarm, latest = self._current(database, name)
            added = normalised(watched(rows, watch.columns, "rows"), watch.columns)
            held = import_module("pyarrow").concat_tables([latest, added])
            first, end, every = position - latest.num_rows, position + added.num_rows, watch.policy.every
            for look_end in range((position // every + 1) * every, end + 1, every):
                length = min(watch.policy.window, look_end)
                window = held.slice(look_end - first - length, length)
                findings, in_alarm = _look(watch, window, look_end, in_alarm)
                looks.append(Look(look_end, window, findings))
            latest = held.slice(max(0, held.num_rows - watch.policy.window))
            database.execute(
                "UPDATE watches SET position = ?, in_alarm = ?, latest = ? WHERE name = ?",
                (end, dumps(sorted(in_alarm)), bytes_of(latest), name),
            )
        return watch, looks

    def position(self, name: str) -> int:
        with self._database() as database:
            row = database.execute("SELECT position FROM watches WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise _not_started(name)
        return int(row[0])

    def _current(self, database: sqlite3.Connection, name: str) -> tuple[Watch, int, frozenset[str], Any]:
        row = database.execute(
            "SELECT started, columns, policy, position, in_alarm, latest FROM watches WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise _not_started(name)
        started, columns, policy, position, in_alarm, latest = row
        watch = self._prepared.get(name)
        if watch is None or watch.started != started:
            kinds = {column: ColumnKind(kind) for column, kind in loads(columns)}
            (data,) = database.execute("SELECT reference FROM watches WHERE name = ?", (name,)).fetchone()
            reference = table_of(data)
            watch = Watch(name, started, kinds, Policy(**loads(policy)), reference, self._prepare(reference, kinds))
            self._prepared[name] = watch
        return watch, position, frozenset(loads(in_alarm)), table_of(latest)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process writes beside."""
        if self._closed:
            raise Conflict("This monitor was closed", allowed="making a new one")
        try:
            with self._lock, closing(sqlite3.connect(self._home / "watches.sqlite", timeout=WAIT_S)) as database:
                database.isolation_level = None
                database.execute("PRAGMA synchronous = FULL")
                database.execute("BEGIN IMMEDIATE")
                database.execute(SCHEMA)
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as failed:
            raise StorageFailed("The watches can't be read or written", got=f"{self._home}: {failed}") from failed


def _look(watch: Watch, window: Any, end: int, in_alarm: frozenset[str]) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """The findings of the columns that were well at the last look, the strongest first; and which are in alarm now."""
    found: dict[str, Breach] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, on columns of one value or none
        for breach in watch.tests.breaches(window, watch.level):
            if breach.column not in found or breach.p_value < found[breach.column].p_value:
                found[breach.column] = breach
    new = [breach for column, breach in found.items() if column not in in_alarm]
    order = list(watch.columns)
    new.sort(key=lambda breach: (breach.p_value, order.index(breach.column)))
    findings = (
        Finding(b.column, b.test, b.statistic, b.p_value, b.threshold, b.effect, end - window.num_rows, end - 1)
        for b in new
    )
    return tuple(findings), frozenset(found)


def _check(columns: Mapping[str, ColumnKind], policy: Policy) -> None:
    if not columns:
        raise RefusedInput("A monitor needs a column to watch", got="no columns", allowed="at least one")
    if not (policy.false_alarms_per_million > 0 and policy.window >= 1 and policy.every >= 1):
        raise RefusedInput(
            "This policy can't be kept",
            got=repr(policy),
            allowed="more than 0 false alarms per million, a window and steps of at least 1 row",
        )


def _not_started(name: str) -> NotFound:
    return NotFound(f"No monitor named {name!r} was started", allowed="a name given to start")
