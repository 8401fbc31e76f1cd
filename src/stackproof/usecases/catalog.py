"""What is known of the tools."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.facts.model import Tool
from stackproof.usecases.decide import find_tool, known_facts, stated


@dataclass(frozen=True, slots=True)
class Known:
    """One tool of the catalogue. `facts`: key to value, detail, source, date, confidence."""

    id: str
    name: str
    roles: tuple[str, ...]
    parts: tuple[str, ...]
    status: str
    licence: str
    released: str
    replaced_by: tuple[str, ...]
    named_in: tuple[str, ...]
    modes: tuple[dict[str, Any], ...]
    facts: dict[str, dict[str, Any]]


def catalog(tool: str | None = None, overlays: Sequence[Path] = ()) -> list[Known]:
    """Every tool by id, or only the one named, with the user's own facts laid over.

    Raises `UnknownName`, and `RefusedInput` for faults in the user's own facts.
    """
    facts = known_facts(overlays)
    tools = [find_tool(facts, tool)] if tool is not None else list(facts.tools.values())
    return [_known(one) for one in tools]


def _known(tool: Tool) -> Known:
    release = tool.facts.get("release")
    return Known(
        id=tool.id,
        name=tool.name,
        roles=tool.roles,
        parts=tool.parts,
        status=str(tool.status.value),
        licence=tool.text("licence"),
        released=release.more.get("released", "") if release else "",
        replaced_by=tool.replaced_by,
        named_in=tool.named_in,
        modes=tuple(
            {
                "hosting": mode.hosting,
                "kubernetes": mode.kubernetes,
                "cost": mode.cost,
                "usd_per_seat_year": mode.usd_per_seat_year,
                "usd_per_year": mode.usd_per_year,
                "note": mode.note,
                "source": mode.source,
                "date": mode.date.isoformat() if mode.date else None,
                "confidence": mode.confidence,
            }
            for mode in tool.modes
        ),
        facts={key: stated(fact) for key, fact in tool.facts.items()},
    )
