"""From a document of the facts, as TOML gives it, to its value. Raises `KeyError`, `TypeError` or
`ValueError` for a document that its schema would refuse."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackproof.facts.model import (
    AllOf,
    Aspect,
    Branch,
    Caution,
    Change,
    Condition,
    Contradiction,
    Criterion,
    Fact,
    Gate,
    Install,
    Load,
    Measure,
    MigrationPath,
    Mode,
    Operation,
    OperationClass,
    Pair,
    Pick,
    Question,
    Rating,
    ReferenceStack,
    Scales,
    Source,
    Tool,
    Tree,
    Value,
    Votes,
)

Table = Mapping[str, Any]
RELEASE = ("package", "released", "python", "licence")


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
        ratings=tuple(read_rating(table, sources) for table in document.get("ratings", ())),
    )


def read_caution(table: Table, sources: Table) -> Caution:
    cited = sources.get(table["source"], {})
    source = cited.get("text", table["source"])
    return Caution(table["text"], source, cited.get("date"), _all(table.get("when", ())))


def read_rating(table: Table, sources: Table) -> Rating:
    cited = sources.get(table["source"], {})
    return Rating(
        criterion=table["criterion"],
        value=table["value"],
        source=cited.get("text", table["source"]),
        date=table.get("date", cited.get("date")),
        confidence=table["confidence"],
        role=table.get("role", ""),
        detail=table.get("detail", ""),
    )


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
        operation=table.get("operation", ""),
    )


def read_tree(document: Table) -> Tree:
    aspects = tuple(
        Aspect(
            table["name"],
            _all(table.get("when", ())),
            _groups(table.get("any", ())),
            table.get("level", ""),
            table.get("extra", False),
        )
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
        id=table["id"],
        kind=table["kind"],
        source=table["source"],
        place=table["place"],
        text=table["text"],
        picks=tuple(Pick(pick["tool"], tuple(pick.get("with", ()))) for pick in table["picks"]),
        aspect=table.get("aspect", aspect),
        priority=table.get("priority", ""),
        refines=table.get("refines", ""),
        strict=table.get("strict", False),
        when=_all(table.get("when", ())),
        any=_groups(table.get("any", ())),
        given=_all(table.get("if", ())),
    )


def read_gate(table: Table) -> Gate:
    return Gate(
        id=table["id"],
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


def priced(tool: Tool, operation: Operation) -> Tool:
    """The tool with the assumed price of every mode whose price is not stated."""
    modes = tuple(
        mode
        if mode.usd_per_year or mode.usd_per_seat_year or mode.cost not in operation.unpriced
        else replace(mode, assumed_usd_per_year=operation.unpriced[mode.cost])
        for mode in tool.modes
    )
    return replace(tool, modes=modes)


def read_criterion(table: Table) -> Criterion:
    measured = table.get("proof")
    return Criterion(
        id=table["id"],
        name=table["name"],
        weight=float(table["weight"]),
        text=table["text"],
        source=table["source"],
        role=table.get("role", ""),
        aspect=table.get("aspect", ""),
        scale=table.get("scale", ""),
        computed=table.get("computed", ""),
        changes=tuple(
            Change(float(c["weight"]), c["because"], _all(c.get("when", ())), _groups(c.get("any", ())))
            for c in table.get("changes", ())
        ),
        measure=None
        if measured is None
        else Measure(measured["figure"], measured["unit"], float(measured["best"]), float(measured["worst"])),
    )


def read_scales(document: Table) -> Scales:
    return Scales(
        words={name: {word: _span(span) for word, span in words.items()} for name, words in document["words"].items()},
        caution=float(document["caution"]),
        half=float(document["half"]),
        price=_points(document["price"]),
        hours=_points(document["hours"]),
        stack={name: float(worth) for name, worth in document["stack"].items()},
        says=dict(document["says"]),
    )


def _points(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((float(at), float(rating)) for at, rating in rows)


def read_operation(document: Table) -> Operation:
    classes = [
        OperationClass(
            id=table["id"],
            text=table["text"],
            hours=_span(table["hours_per_month"]),
            infrastructure_usd=_span(table["infrastructure_usd_per_month"]),
            source=table["source"],
            confidence=table["confidence"],
        )
        for table in document["classes"]
    ]
    return Operation(
        classes={one.id: one for one in classes},
        skill={name: float(factor) for name, factor in document["skill"].items()},
        hours_of={name: float(hours) for name, hours in document["hours_of"].items()},
        source=document["source"],
        unpriced={cost: _span(span) for cost, span in document["unpriced"].items()},
        load=Load(
            float(document["load"]["predictions_per_day"]),
            float(document["load"]["tenfold"]),
            tuple(document["load"]["roles"]),
        ),
    )


def read_pair(table: Table) -> Pair:
    one, other = table["tools"]
    return Pair((one, other), table["kind"], table["text"], table["source"], table.get("date"), table["confidence"])


def read_migration(table: Table, role: str) -> MigrationPath:
    return MigrationPath(
        role=role,
        source_tool=table["from"],
        target=table["to"],
        works=table["works"],
        steps=tuple(table["steps"]),
        effort_days=_span(table["effort_days"]),
        effort_source=table["effort_source"],
        source=table["source"],
        date=table.get("date"),
    )


def read_install(table: Table) -> Install:
    requirement = table["requirement"]
    return Install(
        tool=table["tool"],
        distribution=re.split(r"[\s\[<>=!~;,]", requirement, maxsplit=1)[0].lower().replace("_", "-"),
        requirement=requirement,
        tested=table.get("tested"),
        python=table["python"],
        works=table["works"],
        packages=table.get("packages", 0),
        megabytes=table.get("megabytes", 0),
        note=table.get("note", ""),
        also=tuple(table.get("also", ())),
    )


def read_stack(table: Table) -> ReferenceStack:
    return ReferenceStack(
        id=table["id"],
        name=table["name"],
        source=table["source"],
        when=_all(table["for"]),
        roles={role: tuple(tools) for role, tools in table["roles"].items()},
        cost_claimed=_range(table.get("cost_claimed")),
        cost_text=table.get("cost_text", ""),
    )


def read_contradiction(table: Table) -> Contradiction:
    return Contradiction(
        number=table["number"],
        roles=tuple(table["roles"]),
        text=table["text"],
        sources=tuple(table["sources"]),
        followed=table["followed"],
        when=_all(table.get("when", ())),
        tools=tuple(table.get("tools", ())),
    )


def _span(pair: Sequence[float]) -> tuple[float, float]:
    low, high = pair
    return float(low), float(high)


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
    return None if pair is None else _span(pair)
