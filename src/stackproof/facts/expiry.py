"""How long what is known stays fresh. Prices, releases and lifecycles age faster than the rest."""

import datetime
from dataclasses import dataclass
from typing import TypeAlias

from stackproof.facts.model import Caution, Fact, Mode, Pair, Rating

FRESH_DAYS = {"price": 180, "release": 90, "lifecycle": 180, "rest": 365}
"""Kind of fact to the days for which it is taken as fresh."""

Dated: TypeAlias = Fact | Mode | Rating | Caution | Pair
"""What carries the day on which its source was read."""

PAID = frozenset({"per-seat", "per-year", "usage", "quote"})
"""Costs of a mode that say a price; the others follow from the licence."""

TOPICS = {"lifecycle": "the lifecycle", "release": "the newest release", "price": "the price"}
AS_FRESH = {
    "price": "a price is taken as fresh for",
    "release": "a release is taken as fresh for",
    "lifecycle": "a lifecycle is taken as fresh for",
    "rest": "such a fact is taken as fresh for",
}


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something read too long ago. `age` and `fresh_for` in days; `text`: a sentence without its full stop."""

    kind: str
    age: int
    fresh_for: int
    text: str


def kind_of(key: str) -> str:
    """The kind of the fact named `key`: "price", "release", "lifecycle" or "rest"."""
    if key == "price" or key.startswith("price_"):
        return "price"
    return {"release": "release", "status": "lifecycle"}.get(key, "rest")


def kind_in(known: Dated) -> str:
    """The kind by which `known` ages: that of a fact's key, "price" for a paid mode, "rest" for all else."""
    if isinstance(known, Fact):
        return kind_of(known.key)
    return "price" if isinstance(known, Mode) and known.cost in PAID else "rest"


def age(known: Dated, as_of: datetime.date) -> int | None:
    """Days from the day on which its source was read to `as_of`; negative before that day, None for no day."""
    return None if known.date is None else (as_of - known.date).days


def undated(known: Dated) -> bool:
    """Whether nobody can say how old it is. Such a thing never expires."""
    return known.date is None


def expired(known: Dated, as_of: datetime.date, of: str = "") -> Expiry | None:
    """Its age when it is older than its kind stays fresh; None while it is fresh, and for what has no date.

    `of`: the name of the tool, for the sentence.
    """
    days, kind = age(known, as_of), kind_in(known)
    if days is None or days <= FRESH_DAYS[kind]:
        return None
    text = f"What is known of {_topic(known, of)} is {days} days old; {AS_FRESH[kind]} {FRESH_DAYS[kind]} days"
    return Expiry(kind, days, FRESH_DAYS[kind], text)


def not_yet_known(known: Dated, as_of: datetime.date, of: str = "") -> str:
    """A sentence, without its full stop, when `as_of` lies before the day of reading; else ""."""
    if known.date is None or as_of >= known.date:
        return ""
    topic = _topic(known, of)
    return f"What was known then, on {as_of}, of {topic} is not recorded; what was read on {known.date} is used"


def _topic(known: Dated, of: str) -> str:
    words = TOPICS.get(kind_in(known)) or _own_words(known)
    return f"{words} of {of}" if of else words


def _own_words(known: Dated) -> str:
    if isinstance(known, Fact):
        return known.key.replace("_", " ")
    if isinstance(known, Rating):
        return known.criterion.replace("-", " ")
    if isinstance(known, Mode):
        return "the way of running"
    return "a limit" if isinstance(known, Caution) else "how the tools fit together"
