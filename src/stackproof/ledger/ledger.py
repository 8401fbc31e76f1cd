"""The ledger: what happened, and what came from what."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import chain
from stackproof.ledger.predictions import PredictionStore
from stackproof.ledger.records import (
    JSON,
    ChainReport,
    Entity,
    Lineage,
    Link,
    Relation,
    canonical,
    kind_of,
)
from stackproof.ledger.schema import LEDGER_SCHEMA
from stackproof.store import Store
from stackproof.store.instants import from_us, to_us

_NEXT_NUMBER = """
    SELECT 1 + max(
        (SELECT coalesce(max(number), 0) FROM ledger_entities),
        (SELECT coalesce(max(number), 0) FROM ledger_attributes),
        (SELECT coalesce(max(number), 0) FROM ledger_links)
    )
"""


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Append-only and hash-chained. `predictions` holds the served predictions and their outcomes.

    Any number of threads and processes may use ledgers over the same store.
    """

    def __init__(self, store: Store, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = store.database
        self._clock = clock
        self._database.add(LEDGER_SCHEMA)
        self.predictions = PredictionStore(store.database, clock)

    def record(self, *records: Entity | Link) -> None:
        """Add entities and links as one batch, durable when the outermost transaction ends.

        An entity again adds attributes; the same value again, or the same link, is no change.
        Raises `Conflict` for another value of an attribute, and `RefusedInput` for a link with an
        end that is unknown; then nothing was added.
        """
        entities = [record for record in records if isinstance(record, Entity)]
        links = [record for record in records if isinstance(record, Link)]
        with self._database.transaction() as connection:
            (first,) = connection.execute(_NEXT_NUMBER).fetchone()
            batch = _Batch(connection, first)
            for entity in entities:
                batch.add_entity(entity)
            for link in links:
                batch.add_link(link)
            if batch.lines:
                content = chain.content_digest(batch.lines)
                chain.append_batch(connection, "records", self._clock(), first, len(batch.lines), content)

    def get(self, id: str) -> Entity:
        """One entity, a prediction included, with all its attributes. Raises `NotFound`."""
        with self._database.read() as connection:
            found = self._entities(connection, [id])
        if id not in found:
            raise NotFound(f"The ledger has no {id!r}", next_command="stackproof runs")
        return found[id]

    def find(self, kind: str, *, limit: int = 100, where: Mapping[str, JSON] | None = None) -> list[Entity]:
        """Entities of a kind that have all attributes of `where`, the last recorded first.

        For predictions ask `predictions.after`. None found is an empty list.
        """
        if kind == "prediction":
            raise RefusedInput("Predictions are read in their own order", allowed="ledger.predictions.after(position)")
        query, arguments = "SELECT id FROM ledger_entities AS e WHERE kind = ?", [kind]
        for key, value in (where or {}).items():
            query += (
                " AND EXISTS (SELECT 1 FROM ledger_attributes AS a WHERE a.entity = e.id AND a.key = ? AND a.value = ?)"
            )
            arguments += [key, canonical(value)]
        with self._database.read() as connection:
            rows = connection.execute(f"{query} ORDER BY number DESC LIMIT ?", (*arguments, limit))
            ids = [id for (id,) in rows]
            found = self._entities(connection, ids)
        return [found[id] for id in ids]

    def links_from(self, id: str) -> list[Link]:
        """What `id` rests on, in the order of recording; an unknown one has none."""
        with self._database.read() as connection:
            return self._links(connection, [id], downstream=False)

    def links_to(self, id: str) -> list[Link]:
        """What rests on `id`, in the order of recording. The predictions of a deployment are not among it."""
        with self._database.read() as connection:
            return self._links(connection, [id], downstream=True)

    def lineage(self, id: str, *, downstream: bool = False, limit: int = 10_000) -> Lineage:
        """Everything upstream of `id`, or downstream; at most `limit` entities. Raises `NotFound`."""
        entities: dict[str, Entity] = {id: self.get(id)}
        links: list[Link] = []
        seen, frontier, complete = {id}, [id], True
        with self._database.read() as connection:
            while frontier and complete:
                step = self._links(connection, frontier, downstream=downstream)
                links += step
                ends = (link.source if downstream else link.target for link in step)
                frontier = [end for end in dict.fromkeys(ends) if end not in seen]
                seen.update(frontier)
                found = self._entities(connection, frontier)
                room = limit - len(entities)
                complete = len(found) <= room
                entities.update((end, found[end]) for end in [e for e in frontier if e in found][:room])
        return Lineage(tuple(entities.values()), tuple(links), complete)

    def verify(self, *, witnessed: str | None = None) -> ChainReport:
        """Recompute the chain from the stored rows: one changed, removed, added or moved is found.

        Someone who rewrites the whole chain, or cuts off its end, is found only against a head kept
        elsewhere: `witnessed`, an earlier `head()`. Raises `Corrupted` for an unreadable file.
        """
        with self._database.read() as connection:
            return chain.verify(connection, witnessed)

    def head(self) -> str:
        """The digest of the newest batch: it stands for all before it. Keep it outside as a witness."""
        with self._database.read() as connection:
            return chain.last_batch(connection)[1]

    def _entities(self, connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Entity]:
        wanted = json.dumps(list(ids))
        attributes: dict[str, dict[str, JSON]] = {id: {} for id in ids}
        for entity, key, value in connection.execute(_ATTRIBUTES_OF, (wanted,)):
            attributes[entity][key] = json.loads(value)
        found = {
            id: Entity(id, kind, from_us(at), attributes[id])
            for id, kind, at in connection.execute(_ENTITIES_OF, (wanted,))
        }
        for id in ids:
            prediction = self.predictions.entity(connection, id) if id.startswith("prediction:") else None
            if prediction is not None:
                found[id] = prediction
        return found

    def _links(self, connection: sqlite3.Connection, ids: Sequence[str], *, downstream: bool) -> list[Link]:
        query = _LINKS_TO if downstream else _LINKS_FROM
        links = [
            Link(source, Relation(relation), target)
            for source, relation, target in connection.execute(query, (json.dumps(list(ids)),))
        ]
        if not downstream:
            for id in ids:
                links += self.predictions.links(connection, id) if id.startswith("prediction:") else []
        return links


_ATTRIBUTES_OF = """
    SELECT entity, key, value FROM ledger_attributes
    WHERE entity IN (SELECT value FROM json_each(?)) ORDER BY number
"""
_ENTITIES_OF = "SELECT id, kind, at FROM ledger_entities WHERE id IN (SELECT value FROM json_each(?))"
_LINKS_FROM = """
    SELECT source, relation, target FROM ledger_links
    WHERE source IN (SELECT value FROM json_each(?)) ORDER BY number
"""
_LINKS_TO = """
    SELECT source, relation, target FROM ledger_links
    WHERE target IN (SELECT value FROM json_each(?)) ORDER BY number
"""


class _Batch:
    """The rows of one `record`, numbered and written as they are added."""

    def __init__(self, connection: sqlite3.Connection, first: int) -> None:
        self.lines: list[bytes] = []
        self._connection = connection
        self._numbers = count(first)

    def add_entity(self, entity: Entity) -> None:
        if kind_of(entity.id) != entity.kind:
            raise RefusedInput("An identifier says another kind", got=entity.id, allowed=f"{entity.kind}:…")
        if not self._is_known(entity.id):
            self._insert("entity", "ledger_entities", entity.id, entity.kind, to_us(entity.at))
        stored = dict(
            self._connection.execute("SELECT key, value FROM ledger_attributes WHERE entity = ?", (entity.id,))
        )
        for key, value in entity.attributes.items():
            text = canonical(value)
            if key not in stored:
                self._insert("attribute", "ledger_attributes", entity.id, key, text)
            elif stored[key] != text:
                raise Conflict(
                    f"The ledger already holds another {key!r} for {entity.id}",
                    got=text[:200],
                    allowed=f"{stored[key][:200]}, or another attribute",
                )

    def add_link(self, link: Link) -> None:
        unknown = [id for id in (link.source, link.target) if not self._is_known(id)]
        if unknown:
            raise RefusedInput(
                f"A link {link.source} {link.relation} {link.target} names what the ledger does not hold",
                got=", ".join(unknown),
                allowed="identifiers recorded before, or in the same call",
            )
        row = (link.source, str(link.relation), link.target)
        exists = "SELECT 1 FROM ledger_links WHERE source = ? AND relation = ? AND target = ?"
        if self._connection.execute(exists, row).fetchone() is None:
            self._insert("link", "ledger_links", *row)

    def _insert(self, label: str, table: str, *row: str | int) -> None:
        self._connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", (next(self._numbers), *row))  # noqa: S608  # our own table names
        self.lines.append(chain.line(label, *row))

    def _is_known(self, id: str) -> bool:
        table = "ledger_predictions" if id.startswith("prediction:") else "ledger_entities"
        return self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id,)).fetchone() is not None  # noqa: S608  # as above
