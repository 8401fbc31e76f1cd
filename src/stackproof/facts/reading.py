"""From a document of the facts, as TOML gives it, to its value. Raises `KeyError`, `TypeError` or
`ValueError` for a document that its schema would refuse."""

from collections.abc import Mapping, Sequence
from typing import Any

from stackproof.facts.model import (
    AllOf,
    Aspect,
    Branch,
    Caution,
    Condition,
    Fact,
    Gate,
    Mode,
    Pick,
    Question,
    Source,
    Tool,
    Tree,
    Value,
    Votes,
)

Table = Mapping[str, Any]
RELEASE = ("package", "released", "python")


def read_tool(document: Table) -> Tool:
    sources = document.get("sources", {})
    return Tool(
        id=document["id"],
        name=document["name"],
        roles=tuple(document["roles"]),
        parts=tuple(document.get("parts", ())),
        named_in=tuple(document.get("named_in", ())),
        requires=tuple(document.get("requires", ())),
        replaced_by=tuple(document.get("replaced_by", ())),
        facts={key: read_fact(key, table, sources) for key, table in document["facts"].items()},
        modes=tuple(read_mode(table, sources) for table in document["modes"]),
        cautions=tuple(read_caution(table, sources) for table in document.get("cautions", ())),
    )


def read_caution(table: Table, sources: Table) -> Caution:
    cited = sources.get(table["source"], {})
    source = cited.get("text", table["source"])
    return Caution(table["text"], source, cited.get("date"), _all(table.get("when", ())))


def read_fact(key: str, table: Table, sources: Table) -> Fact:
    cited = sources.get(table["source"], {})
    return Fact(
        key=key,
        value=_value(table["value"]),
        source=cited.get("text", table["source"]),
        date=table.get("date", cited.get("date")),
        confidence=table["confidence"],
        detail=table.get("detail", ""),
        since=table.get("since"),
        more={name: table[name] for name in RELEASE if name in table},
    )


def read_mode(table: Table, sources: Table) -> Mode:
    cited = sources.get(table["source"], {})
    return Mode(
        hosting=table["hosting"],
        cost=table["cost"],
        source=cited.get("text", table["source"]),
        date=table.get("date", cited.get("date")),
        confidence=table["confidence"],
        kubernetes=table.get("kubernetes", False),
        usd_per_seat_year=_range(table.get("usd_per_seat_year")),
        usd_per_year=_range(table.get("usd_per_year")),
        free_seats=table.get("free_seats", 0),
        free_for=tuple(table.get("free_for", ())),
        note=table.get("note", ""),
    )


def read_tree(document: Table) -> Tree:
    aspects = tuple(
        Aspect(table["name"], _all(table.get("when", ())), _groups(table.get("any", ())), table.get("level", ""))
        for table in document.get("aspects", ())
    )
    first = aspects[0].name if aspects else ""
    return Tree(
        role=document["role"],
        aspects=aspects or (Aspect(""),),
        branches=tuple(read_branch(table, first) for table in document["branches"]),
    )


def read_branch(table: Table, aspect: str) -> Branch:
    return Branch(
        kind=table["kind"],
        source=table["source"],
        place=table["place"],
        text=table["text"],
        picks=tuple(Pick(pick["tool"], tuple(pick.get("with", ()))) for pick in table["picks"]),
        aspect=table.get("aspect", aspect),
        priority=table.get("priority", ""),
        refines=table.get("refines", ""),
        when=_all(table.get("when", ())),
        any=_groups(table.get("any", ())),
        given=_all(table.get("if", ())),
    )


def read_gate(table: Table) -> Gate:
    return Gate(
        role=table["role"],
        verdict=table["verdict"],
        until=table["until"],
        text=table["text"],
        source=table["source"],
        place=table["place"],
        when=_all(table["when"]),
        unless=_groups(table.get("unless", ())),
    )


def read_question(table: Table) -> Question:
    return Question(
        key=table["key"],
        type=table["type"],
        default=_value(table.get("default")),
        allowed=tuple(table.get("allowed", ())),
        buckets=tuple(table.get("buckets", ())),
        least=table.get("least"),
        text=table["text"],
        source=table["source"],
    )


def read_source(table: Table) -> Source:
    return Source(table["file"], table["title"], table.get("date"))


def read_votes(document: Table) -> Votes:
    shares = document["shares"]
    return Votes(
        weights=dict(document["weights"]),
        order=tuple(shares["order"]),
        replacement=shares["replacement"],
        factors=dict(document["factors"]),
    )


def _all(tables: Sequence[Table]) -> AllOf:
    return tuple(_condition(table) for table in tables)


def _groups(groups: Sequence[Sequence[Table]]) -> tuple[AllOf, ...]:
    return tuple(_all(group) for group in groups)


def _condition(table: Table) -> Condition:
    ((op, value),) = ((key, item) for key, item in table.items() if key != "key")
    return Condition(table["key"], op, _value(value))


def _value(value: Any) -> Value:
    plain: Value = tuple(value) if isinstance(value, list) else value
    return plain


def _range(pair: Sequence[float] | None) -> tuple[float, float] | None:
    if pair is None:
        return None
    low, high = pair
    return float(low), float(high)
