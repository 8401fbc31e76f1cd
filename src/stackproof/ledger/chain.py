"""The hash chain: each batch's digest covers its rows and the digest before it."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from stackproof.ledger.records import ChainReport, canonical
from stackproof.ledger.schema import LEDGER_SCHEMA
from stackproof.store.instants import to_us
from stackproof.store.schema import migrate

GENESIS = "sha256:" + "0" * 64

_RECORDS = """
    SELECT number, 'entity', id, kind, at FROM ledger_entities
    UNION ALL SELECT number, 'attribute', entity, key, value FROM ledger_attributes
    UNION ALL SELECT number, 'link', source, relation, target FROM ledger_links
    ORDER BY 1
"""
_PREDICTIONS = "SELECT number, id, deployment, deployment_name, at, body FROM ledger_predictions ORDER BY number"
_OUTCOMES = "SELECT number, prediction, value, at FROM ledger_outcomes ORDER BY number"
_ROWS = {"records": _RECORDS, "predictions": _PREDICTIONS, "outcomes": _OUTCOMES}


@dataclass(frozen=True, slots=True)
class Batch:
    """One link of the chain. `first` and `count`: the numbers of its rows."""

    number: int
    kind: str
    at: int
    first: int
    count: int
    content: str
    digest: str


def line(*fields: object) -> bytes:
    """One row as bytes from which the fields can be read back, so that no two rows look alike."""
    parts = [f"s{len(it)}:{it}" if isinstance(it, str) else f"n{it!r}," for it in fields]
    return "".join(parts).encode() + b"\n"


def content_digest(lines: Iterable[bytes]) -> str:
    """The digest of rows, in order."""
    return "sha256:" + sha256(b"".join(lines)).hexdigest()


def append_batch(connection: sqlite3.Connection, kind: str, at: datetime, first: int, count: int, content: str) -> None:
    """Add a batch to the end of the chain, inside the caller's transaction."""
    number, previous = last_batch(connection)
    batch = (number + 1, kind, to_us(at), first, count, content)
    connection.execute("INSERT INTO ledger_batches VALUES (?, ?, ?, ?, ?, ?, ?)", (*batch, _digest(previous, *batch)))


def last_batch(connection: sqlite3.Connection) -> tuple[int, str]:
    """Number and digest of the newest batch; 0 and `GENESIS` when there is none."""
    row = connection.execute("SELECT number, digest FROM ledger_batches ORDER BY number DESC LIMIT 1").fetchone()
    return row or (0, GENESIS)


def verify(connection: sqlite3.Connection, witnessed: str | None) -> ChainReport:
    """Recompute every digest from the rows. `witnessed`: a head seen earlier, that must be in the chain."""
    damage = _damage(connection)
    if damage:
        return ChainReport(False, 0, None, damage)
    rows: dict[str, Iterator[tuple[object, ...]]] = {kind: connection.execute(query) for kind, query in _ROWS.items()}
    following = dict.fromkeys(_ROWS, 1)
    previous, count, seen = GENESIS, 0, witnessed in (None, GENESIS)
    for batch in _batches(connection):
        count += 1
        fault = _fault(batch, count, previous, following, rows)
        if fault:
            return ChainReport(False, count, count, f"batch {count}: {fault}")
        previous = batch.digest
        seen = seen or previous == witnessed
    for kind, left in rows.items():
        if next(left, None) is not None:
            return ChainReport(False, count, count + 1, f"there are {kind} that belong to no batch")
    if not seen:
        return ChainReport(False, count, None, f"the head {witnessed} that was seen earlier is no longer in the chain")
    return ChainReport(True, count, None, f"{count} batches, every row as it was written")


def _fault(
    batch: Batch,
    expected: int,
    previous: str,
    following: dict[str, int],
    rows: dict[str, Iterator[tuple[object, ...]]],
) -> str:
    """What is wrong with a batch; "" when nothing is."""
    own = (batch.number, batch.kind, batch.at, batch.first, batch.count, batch.content)
    if batch.number != expected:
        return f"it is missing, the next one is {batch.number}"
    if batch.digest != _digest(previous, *own):
        return "its entry, or the one before it, was changed"
    if batch.first != following[batch.kind]:
        return f"its {batch.kind} do not follow those of the batch before"
    taken = list(islice(rows[batch.kind], batch.count))
    following[batch.kind] += batch.count
    if [row[0] for row in taken] != list(range(batch.first, batch.first + batch.count)):
        return f"some of its {batch.kind} are missing or moved"
    if content_digest(line(*row[1:]) for row in taken) != batch.content:
        return f"some of its {batch.kind} were changed"
    return ""


def _damage(connection: sqlite3.Connection) -> str:
    """What is wrong with the file or its tables, so that the rows cannot even be trusted to be found."""
    (integrity,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if integrity != "ok":
        return f"the database file is damaged: {integrity}"
    with closing(sqlite3.connect(":memory:")) as fresh:
        migrate(fresh, [LEDGER_SCHEMA])
        if _tables(fresh) != _tables(connection):
            return "the ledger's tables are not as they were made"
    return ""


def _tables(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name LIKE 'ledger_%' ORDER BY name"
    return connection.execute(query).fetchall()


def _batches(connection: sqlite3.Connection) -> Iterator[Batch]:
    query = "SELECT number, kind, at, first, count, content, digest FROM ledger_batches ORDER BY number"
    return (Batch(*row) for row in connection.execute(query))


def _digest(previous: str, *batch: object) -> str:
    return "sha256:" + sha256(f"{previous}\n{canonical(batch)}".encode()).hexdigest()
