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
class CriterionScore:
    """What one criterion gives a tool. `weight`: 0 to 10; `because`: the answer that set it, "" for the default.

    `rating`: low and high in 0 to 1; (0, 1) with `known` False where nothing is known. `word`: the rating in
    words. `measured`: it comes from a proof instead of from what is written.
    """

    id: str
    name: str
    weight: float
    because: str
    rating: tuple[float, float]
    word: str
    source: str
    date: datetime.date | None = None
    known: bool = True
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """A tool that is in reach, on all criteria of a role. `score` lies in `interval`, all of them in 0 to 1."""

    tool: str
    score: float
    interval: tuple[float, float]
    criteria: tuple[CriterionScore, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The tools in reach for one aspect of a role ("" for the whole), best first."""

    aspect: str
    tools: tuple[Scored, ...]
    chosen: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the trace. `held`: whether its conditions hold for the answers, None where there are none."""

    text: str
    kind: str
    held: bool | None = None
    source: str = ""
    date: datetime.date | None = None
    below: tuple["Step", ...] = ()


@dataclass(frozen=True, slots=True)
class Decisive:
    """The statement about the chosen tool or its rival whose change would matter most.

    `then`: the tool that would be picked, or come nearest to it, if it changed. `flips`: whether it would be picked.
    """

    tool: str
    criterion: str
    text: str
    then: str
    flips: bool
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
    `reasons`: the main one first, at least one. `score`, `interval`: of `tool`, 0 to 1, None where none was
    scored. `stability`: the share of perturbed weights under which the pick stays, None when not asked for.
    `hours_per_month`: low and high, of people's time to operate what is chosen. `rankings`: one for each active
    aspect. `path`: gates, dealbreakers, trees, criteria and assembly, in order.
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
    score: float | None = None
    interval: tuple[float, float] | None = None
    stability: float | None = None
    hours_per_month: tuple[float, float] | None = None
    rankings: tuple[Ranking, ...] = ()
    path: tuple[Step, ...] = ()
    decisive: Decisive | None = None


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
class StackOption:
    """Another whole stack that differs in kind. `kind`: cheapest, fewest-to-operate or most-managed.

    `roles`: the tools of every role in use, the first first. `score`: the mean of its roles' scores.
    """

    name: str
    kind: str
    roles: Mapping[str, tuple[str, ...]]
    score: float
    cost: Cost
    hours_per_month: tuple[float, float]
    differs_because: str


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
    alternative_stacks: tuple[StackOption, ...] = ()
    hours_per_month: tuple[float, float] | None = None
    hours_available: float | None = None
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
            "alternative_stacks": [_option(stack) for stack in self.alternative_stacks],
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
        "score": choice.score,
        "interval": _plain(choice.interval),
        "stability": choice.stability,
        "environment": choice.environment,
        "hours_per_month": _plain(choice.hours_per_month),
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


def _option(stack: StackOption) -> dict[str, Any]:
    return {
        "name": stack.name,
        "roles": {role: list(tools) for role, tools in stack.roles.items()},
        "score": stack.score,
        "cost": _cost(stack.cost),
        "differs_because": stack.differs_because,
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
