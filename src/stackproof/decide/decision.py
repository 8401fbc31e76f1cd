"""What a decision is, and the document that it becomes (decision.json)."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Reason:
    """Why. `kind`: tree, table, criterion, gate, constraint, fact, proof, integration or conflict.

    `source` names a document and place, or the facts of a tool; `date` None: the source has none, and says so.
    """

    text: str
    kind: str
    source: str
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """What a team that takes the tool must know."""

    text: str
    source: str
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    tool: str
    why_not: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A tool that a constraint strikes out. `kind`: lifecycle, hosting, budget, compliance, cloud,
    kubernetes, framework or capability."""

    tool: str
    because: str
    kind: str
    source: str
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """One other answer that changes the role: to `tool`, or to none where the role is then skipped."""

    key: str
    before: Any
    after: Any
    tool: str | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Migration:
    """From the tool in use. `effort_days`: low and high, None while no source gives it."""

    source_tool: str
    steps: tuple[str, ...]
    effort_days: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class RoleDecision:
    """What fills one role, and why.

    `verdict`: use, defer, skip or none. `tool`: "embedded" for defer, None for skip and none.
    `because`: for none, the constraints that together leave no tool, then the cheapest to relax.
    `reasons`: the main one first, at least one.
    """

    verdict: str
    tool: str | None
    reasons: tuple[Reason, ...]
    beside: tuple[str, ...] = ()
    until: str | None = None
    environment: str | None = None
    warnings: tuple[Warned, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    flips: tuple[Flip, ...] = ()
    migration: Migration | None = None
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assumed:
    """A question left open, what was assumed, and the roles for which it matters."""

    key: str
    value: Any
    matters_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assumption:
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars a year, low and high. None: not priced yet, and an assumption says so."""

    licences: tuple[float, float] | None
    assumptions: tuple[Assumption, ...]
    infrastructure: tuple[float, float] | None = None
    people: tuple[float, float] | None = None
    total: tuple[float, float] | None = None
    three_years: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The weakest of the three questions, None when all are a yes; the roles that answer it, in order."""

    weakest: str | None
    order: tuple[str, ...]
    because: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ConflictFound:
    """Where sources disagree with each other or with today's facts, and which one was followed."""

    text: str
    sources: tuple[str, ...]
    followed: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision for all nine roles (or those asked for), with all that it rests on."""

    stackproof: str
    as_of: datetime.date
    facts_digest: str
    answers: Mapping[str, Any]
    assumed: tuple[Assumed, ...]
    roles: Mapping[str, RoleDecision]
    cost: Cost
    readiness: Readiness
    conflicts: tuple[ConflictFound, ...]
    alternative_stacks: tuple[Mapping[str, Any], ...] = ()
    resolution: Mapping[str, Any] | None = None
    schema: int = field(default=SCHEMA)

    @property
    def complete(self) -> bool:
        """Whether every role ended in something other than `none`."""
        return all(choice.verdict != "none" for choice in self.roles.values())

    def to_document(self) -> dict[str, Any]:
        """The shape of decision.json, every key present, dates as text."""
        return {
            "stackproof": self.stackproof,
            "schema": self.schema,
            "as_of": self.as_of.isoformat(),
            "facts_digest": self.facts_digest,
            "answers": self.answers,
            "assumed": [
                {"key": item.key, "value": _plain(item.value), "matters_for": list(item.matters_for)}
                for item in self.assumed
            ],
            "roles": {role: _role(choice) for role, choice in self.roles.items()},
            "alternative_stacks": [dict(stack) for stack in self.alternative_stacks],
            "cost": _cost(self.cost),
            "resolution": self.resolution,
            "readiness": {
                "weakest": self.readiness.weakest,
                "order": list(self.readiness.order),
                "because": [_reason(reason) for reason in self.readiness.because],
            },
            "conflicts": [
                {"text": found.text, "sources": list(found.sources), "followed": found.followed}
                for found in self.conflicts
            ],
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _day(day: datetime.date | None) -> str | None:
    return None if day is None else day.isoformat()


def _reason(reason: Reason) -> dict[str, Any]:
    return {"text": reason.text, "kind": reason.kind, "source": reason.source, "date": _day(reason.date)}


def _role(choice: RoleDecision) -> dict[str, Any]:
    return {
        "verdict": choice.verdict,
        "tool": choice.tool,
        "with": list(choice.beside),
        "until": choice.until,
        "score": None,
        "interval": None,
        "stability": None,
        "environment": choice.environment,
        "hours_per_month": None,
        "because": list(choice.because),
        "reasons": [_reason(reason) for reason in choice.reasons],
        "warnings": [
            {"text": warned.text, "source": warned.source, "date": _day(warned.date)} for warned in choice.warnings
        ],
        "alternatives": [
            {"tool": other.tool, "score": other.score, "why_not": other.why_not} for other in choice.alternatives
        ],
        "rejected": [
            {
                "tool": struck.tool,
                "because": struck.because,
                "kind": struck.kind,
                "source": struck.source,
                "date": _day(struck.date),
            }
            for struck in choice.rejected
        ],
        "flips": [
            {"key": flip.key, "from": _plain(flip.before), "to": _plain(flip.after), "tool": flip.tool}
            for flip in choice.flips
        ],
        "migration": _migration(choice.migration),
    }


def _migration(migration: Migration | None) -> dict[str, Any] | None:
    if migration is None:
        return None
    return {
        "from": migration.source_tool,
        "steps": list(migration.steps),
        "effort_days": _plain(migration.effort_days),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "currency": "USD",
        "per": "year",
        "licences": _plain(cost.licences),
        "infrastructure": _plain(cost.infrastructure),
        "people": _plain(cost.people),
        "total": _plain(cost.total),
        "three_years": _plain(cost.three_years),
        "assumptions": [{"text": item.text, "source": item.source} for item in cost.assumptions],
    }
