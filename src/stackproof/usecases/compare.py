"""Tools side by side: what is known of each, how old it is, and what is not known."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from stackproof.facts import Facts
from stackproof.facts.model import DEAD, DOUBTFUL, Fact, Mode, Rating, Tool
from stackproof.usecases.decide import find_tool

COMPARED = {
    "status": "status",
    "licence": "licence",
    "licence_kind": "kind of licence",
    "distribution": "distribution",
    "self_hosting": "self-hosting",
    "release": "newest release",
    "frameworks": "frameworks",
    "cloud": "bound to",
    "gpu": "needs GPUs of",
    "audit": "audit and roles",
    "protocols": "protocols",
    "run_local": "on one machine",
    "price_claimed": "price claimed by a document",
    "documents_say": "documents say",
    "documents_outdated": "documents outdated in",
}
"""The facts that are compared, in order, and how a row names them."""

NOT_KNOWN = "not known"
NOT_VERIFIED = "not verified"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one tool on one row. `known`: "yes", "not verified", "no", or "none" where there is
    nothing to know. `value`: stated as a fact; `unverified`: what nobody verified.

    `age_days`: since `date`, None where the source has none.
    """

    known: str
    value: str | None = None
    unverified: str | None = None
    detail: str | None = None
    since: datetime.date | None = None
    source: str | None = None
    date: datetime.date | None = None
    age_days: int | None = None
    confidence: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """`id`: a fact's key, "price.1" for the first way of running it, or "rating.<criterion>"."""

    id: str
    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`facts`: one row for each fact that is known of one tool at least; `prices`: one for each way of running;
    `ratings`: one for each criterion. Cells in the order of `tools` (ids).

    `warnings`: what to know before anything else, by tool id.
    """

    as_of: datetime.date
    tools: tuple[str, ...]
    names: tuple[str, ...]
    warnings: dict[str, str]
    facts: tuple[Row, ...]
    prices: tuple[Row, ...]
    ratings: tuple[Row, ...]


def compare(names: Sequence[str], facts: Facts, *, as_of: datetime.date) -> Comparison:
    """The named tools, each once, in the order given. Raises `UnknownName`."""
    tools = [find_tool(facts, name) for name in dict.fromkeys(names)]
    return Comparison(
        as_of=as_of,
        tools=tuple(tool.id for tool in tools),
        names=tuple(tool.name for tool in tools),
        warnings={tool.id: warning for tool in tools if (warning := _lifecycle(tool))},
        facts=tuple(
            Row(key, name, tuple(_fact_cell(tool.facts.get(key), as_of) for tool in tools))
            for key, name in COMPARED.items()
            if any(key in tool.facts for tool in tools)
        ),
        prices=_prices(tools, as_of),
        ratings=_ratings(tools, facts, as_of),
    )


def _lifecycle(tool: Tool) -> str:
    status = tool.status
    since = f" since {status.since}" if status.since else ""
    words = str(status.value).replace("_", ", ")
    if status.value in DEAD:
        instead = f"; in its place: {', '.join(tool.replaced_by)}" if tool.replaced_by else ""
        return f"{tool.name} is {words}{since} and is never chosen{instead}"
    if not status.verified:
        return f"Nobody verified whether {tool.name} is still maintained"
    return f"{tool.name} is {words}{since}" if status.value in DOUBTFUL else ""


def _fact_cell(fact: Fact | None, as_of: datetime.date) -> Cell:
    if fact is None:
        return Cell("no")
    value = ", ".join(fact.value) if isinstance(fact.value, tuple) else str(fact.value)
    if fact.key == "release" and "released" in fact.more:
        value = f"{value}, released {fact.more['released']}"
    elif fact.key == "status":
        value = value.replace("_", ", ")
    return _cell(value, fact.source, fact.date, fact.confidence, as_of, detail=fact.detail, since=fact.since)


def _cell(
    value: str,
    source: str,
    date: datetime.date | None,
    confidence: str,
    as_of: datetime.date,
    *,
    detail: str = "",
    since: datetime.date | None = None,
) -> Cell:
    verified = confidence != "not_verified"
    return Cell(
        known="yes" if verified else NOT_VERIFIED,
        value=value if verified else None,
        unverified=None if verified else value,
        detail=detail or None,
        since=since,
        source=source,
        date=date,
        age_days=None if date is None else (as_of - date).days,
        confidence=confidence,
    )


def _prices(tools: Sequence[Tool], as_of: datetime.date) -> tuple[Row, ...]:
    """The ways of running each tool, the first of each in the first row, and so on."""
    most = max(len(tool.modes) for tool in tools)
    return tuple(
        Row(
            f"price.{place + 1}",
            f"way {place + 1}" if most > 1 else "way of running",
            tuple(_mode_cell(tool.modes[place], as_of) if place < len(tool.modes) else Cell("none") for tool in tools),
        )
        for place in range(most)
    )


def _mode_cell(mode: Mode, as_of: datetime.date) -> Cell:
    """What it costs; an amount that nobody verified says so itself, for it is never a price of today."""
    where = f"{mode.hosting}, on Kubernetes" if mode.kubernetes else mode.hosting
    amount = _amount(mode)
    doubt = f" ({NOT_VERIFIED})" if amount and mode.confidence in ("low", "not_verified") else ""
    free = f", free for {', '.join(mode.free_for)}" if mode.free_for else ""
    seats = f", {mode.free_seats} seat{'s' if mode.free_seats > 1 else ''} free" if mode.free_seats else ""
    words = {
        "free": "free",
        "included": "paid with another product",
        "quote": "price on request: no source says how much",
        "usage": "paid by use",
    }
    cost = f"{amount}{doubt}" if amount else words.get(mode.cost, "paid: no source says how much")
    value = f"{where}: {cost}{seats}{free}"
    return Cell(
        known="yes",
        value=value,
        detail=mode.note or None,
        source=mode.source,
        date=mode.date,
        age_days=None if mode.date is None else (as_of - mode.date).days,
        confidence=mode.confidence,
    )


def _amount(mode: Mode) -> str:
    for amounts, unit in ((mode.usd_per_seat_year, " a seat and year"), (mode.usd_per_year, " a year")):
        if amounts is not None:
            low, high = amounts
            return f"${low:,.0f}{unit}" if low == high else f"${low:,.0f} to ${high:,.0f}{unit}"
    return ""


def _ratings(tools: Sequence[Tool], facts: Facts, as_of: datetime.date) -> tuple[Row, ...]:
    """Each criterion that rates one tool at least, in the order of the criteria."""
    rated = {rating.criterion: None for tool in tools for rating in tool.ratings}
    order = {criterion.id: place for place, criterion in enumerate(facts.criteria)}
    names = {criterion.id: criterion.name for criterion in facts.criteria}
    return tuple(
        Row(f"rating.{id_}", names.get(id_, id_), tuple(_rating_cell(tool, id_, as_of) for tool in tools))
        for id_ in sorted(rated, key=lambda name: (order.get(name, len(order)), name))
    )


def _rating_cell(tool: Tool, criterion: str, as_of: datetime.date) -> Cell:
    """The newest rating; others beside it in the detail."""
    found = [rating for rating in tool.ratings if rating.criterion == criterion]
    if not found:
        return Cell("no")
    first = max(found, key=lambda rating: (rating.verified, rating.date or datetime.date.min))
    others = "; ".join(_other(rating) for rating in found if rating is not first)
    detail = "; ".join(part for part in (first.detail, others) if part)
    value = f"{first.value} (as {first.role})" if first.role and len(tool.roles) > 1 else first.value
    return _cell(value, first.source, first.date, first.confidence, as_of, detail=detail)


def _other(rating: Rating) -> str:
    role = f" (as {rating.role})" if rating.role else ""
    return f"also rated {rating.value}{role} by {rating.source}"
