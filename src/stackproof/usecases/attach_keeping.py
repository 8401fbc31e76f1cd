"""Keeps in the ledger what another tool says about a thing, each state of it once.

What the ledger holds never changes. So a thing that changed over there gets a *revision*: an entity of its own with
all that was then said, derived from the first. Such things have the attribute `attached`, the tool that told of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from stackproof.errors import NotFound
from stackproof.ledger import Entity, Ledger, Link, Relation
from stackproof.ledger.records import canonical, kind_of
from stackproof.stack.attached import ATTACHED

CONTENT = "content"
READ_AT = "read_at"


class Outcome(StrEnum):
    """What became of one thing that was read."""

    NEW = "new"
    CHANGED = "changed"
    KNOWN = "known"
    OURS = "ours"
    """Recorded by Stackproof when it happened: what another tool says of it adds nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a tool says of one thing. `identity` never changes there, `facts` may; `details` come along with new
    facts, and don't make them new. `settled`: it has come to its end. `beside` and `links` are recorded with it.
    """

    id: str
    at: datetime
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    settled: bool = True
    beside: Sequence[Entity] = ()
    links: Sequence[Link] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """The digest of the facts."""
        return "sha256:" + sha256(canonical(self.facts).encode()).hexdigest()


def compare(ledger: Ledger, told: Told) -> Outcome:
    """What `keep` would do."""
    known = find(ledger, told.id)
    if known is None:
        return Outcome.NEW
    if ATTACHED not in known.attributes:
        return Outcome.OURS
    return Outcome.KNOWN if latest(ledger, known).get(CONTENT) == told.content else Outcome.CHANGED


def keep(ledger: Ledger, told: Told, read_at: datetime) -> Outcome:
    """Record what is new, with its links, as one batch."""
    outcome = compare(ledger, told)
    if outcome in (Outcome.NEW, Outcome.CHANGED):
        stated = {**told.facts, **told.details, CONTENT: told.content, READ_AT: read_at.isoformat()}
        ledger.record(*told.beside, *_stated(ledger, told, stated, read_at), *told.links)
    return outcome


def _stated(ledger: Ledger, told: Told, stated: Mapping[str, Any], read_at: datetime) -> list[Entity | Link]:
    """With the thing itself when it came to its end and nothing was said of it so far, else as a revision."""
    known = find(ledger, told.id)
    itself = Entity(told.id, kind_of(told.id), told.at, told.identity)
    if told.settled and (known is None or CONTENT not in known.attributes):
        return [Entity(itself.id, itself.kind, itself.at, {**told.identity, **stated})]
    earlier = _newest_revision(ledger, told.id)
    number = 1 if earlier is None else int(str(earlier.attributes["number"])) + 1
    revision = Entity(
        f"revision:{number}:{told.id}",
        "revision",
        read_at,
        {"of": told.id, "number": number, **told.identity, **stated},
    )
    return [itself, revision, Link(revision.id, Relation.DERIVED_FROM, told.id)]


def find(ledger: Ledger, identifier: str) -> Entity | None:
    """None when the ledger has no such thing."""
    try:
        return ledger.get(identifier)
    except NotFound:
        return None


def latest(ledger: Ledger, entity: Entity) -> Mapping[str, Any]:
    """What was last said of a thing: its own attributes, or those of its newest revision."""
    revision = _newest_revision(ledger, entity.id)
    if revision is None or str(entity.attributes.get(READ_AT, "")) > str(revision.attributes[READ_AT]):
        return entity.attributes
    return revision.attributes


def _newest_revision(ledger: Ledger, identifier: str) -> Entity | None:
    found = ledger.find("revision", where={"of": identifier}, limit=1)
    return found[0] if found else None
