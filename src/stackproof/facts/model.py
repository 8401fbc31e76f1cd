"""The values that facts are made of. All frozen; every one knows where it comes from."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
"""What a fact or an answer may hold."""

DEAD = frozenset({"archived", "discontinued", "unmaintained"})
"""Statuses that no chosen tool has."""

DOUBTFUL = frozenset({"stale", "relicensed", "deprecated", "acquired_at_risk", "not_verified"})
"""Statuses that a chosen tool has only with a warning beside it."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a tool.

    `date`: the day on which the newest of its sources was read, None when the source has none.
    `since`: the first day on which it is known to hold, None when that is not known.
    `confidence` "not_verified" means that `value` must not be stated as a fact.
    `more`: what belongs to it (for a release: package, released, python).
    """

    key: str
    value: Value
    source: str
    date: datetime.date | None
    confidence: str
    detail: str = ""
    since: datetime.date | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        return self.confidence != "not_verified"


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of running a tool.

    `hosting`: "library" (nothing is hosted), "self-hosted" or "managed". `cost`: "free", "included"
    (paid with another product), "per-seat", "per-year", "usage" or "quote" (paid, the amount in no
    source). The ranges are US dollars a year, low and high. `free_for`: who pays nothing.
    `assumed_usd_per_year`: what operation.toml takes an unstated price to be, None where the price is stated.
    `operation`: the class of operation.toml that says what running it takes, "" where nobody said.
    """

    hosting: str
    cost: str
    source: str
    date: datetime.date | None
    confidence: str
    kubernetes: bool = False
    usd_per_seat_year: tuple[float, float] | None = None
    usd_per_year: tuple[float, float] | None = None
    free_seats: int = 0
    free_for: tuple[str, ...] = ()
    note: str = ""
    operation: str = ""
    assumed_usd_per_year: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """`key` of the answers compared with `value` by `op`.

    Ops: is, in, below, above, at_least, at_most on single values; has (any of), lacks (none of),
    only (nothing else, and not empty) on lists; given (whether there is an answer at all).
    """

    key: str
    op: str
    value: Value


AllOf: TypeAlias = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Caution:
    """What a team that chooses the tool must be told when all of `when` hold."""

    text: str
    source: str
    date: datetime.date | None
    when: AllOf = ()


@dataclass(frozen=True, slots=True)
class Rating:
    """How good a tool is on one criterion, as a word of its scale. `role` "": for every role of the tool."""

    criterion: str
    value: str
    source: str
    date: datetime.date | None
    confidence: str
    role: str = ""
    detail: str = ""

    @property
    def verified(self) -> bool:
        return self.confidence != "not_verified"


@dataclass(frozen=True, slots=True)
class Tool:
    """One product.

    `roles`: what it fills by itself. `parts`: roles of which it fills a part, beside another tool or
    where a rule names it. `requires`: tools without which it can't be used. `replaced_by`: what to take
    where its lifecycle forbids it, best first.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    parts: tuple[str, ...]
    named_in: tuple[str, ...]
    requires: tuple[str, ...]
    replaced_by: tuple[str, ...]
    facts: Mapping[str, Fact]
    modes: tuple[Mode, ...]
    cautions: tuple[Caution, ...] = ()
    ratings: tuple[Rating, ...] = ()

    @property
    def status(self) -> Fact:
        return self.facts["status"]

    def text(self, key: str) -> str:
        """The value of a fact as text, "" when there is none."""
        fact = self.facts.get(key)
        return "" if fact is None or fact.value is None else str(fact.value)

    def names(self, key: str) -> tuple[str, ...]:
        """The value of a fact that is a list, () when there is none."""
        fact = self.facts.get(key)
        return fact.value if fact is not None and isinstance(fact.value, tuple) else ()


@dataclass(frozen=True, slots=True)
class Question:
    """One key of answers.toml. `default` None: no answer. `buckets`: other values worth trying."""

    key: str
    type: str
    default: Value
    allowed: tuple[str, ...]
    buckets: tuple[float, ...]
    least: float | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Pick:
    """A tool, with those that fill the role together with it."""

    tool: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """One rule of a source: it holds when all of `when`, one group of `any` and all of `given` hold.

    `kind`: "tree", "table" or "guide". `priority`: the stated priority that takes this branch first,
    whether or not `when` and `any` hold. `aspect`: the part of the role that it is about, "" for the whole.
    `refines`: the tool of which the first pick is a form, and whose votes it takes over; "" for none.
    `strict`: it is about what the named tool can do; what replaces the tool elsewhere doesn't get its vote.
    """

    id: str
    kind: str
    source: str
    place: str
    text: str
    picks: tuple[Pick, ...]
    aspect: str = ""
    priority: str = ""
    refines: str = ""
    strict: bool = False
    when: AllOf = ()
    any: tuple[AllOf, ...] = ()
    given: AllOf = ()


@dataclass(frozen=True, slots=True)
class Aspect:
    """A part of a role that elects its own tool. `level`: the key that says how much it matters.

    `extra`: it only adds to the role, and doesn't fill it by itself.
    """

    name: str
    when: AllOf = ()
    any: tuple[AllOf, ...] = ()
    level: str = ""
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The rules of one role. The whole role is one aspect named "" where the file names none."""

    role: str
    aspects: tuple[Aspect, ...]
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """When a role can wait ("defer") or is not needed ("skip"). Any group of `unless` opens it again."""

    id: str
    role: str
    verdict: str
    until: str
    text: str
    source: str
    place: str
    when: AllOf
    unless: tuple[AllOf, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A document. `date` None: it has none."""

    file: str
    title: str
    date: datetime.date | None


@dataclass(frozen=True, slots=True)
class Votes:
    """How rules count. See facts/votes.toml."""

    weights: Mapping[str, float]
    order: tuple[float, ...]
    replacement: float
    factors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Change:
    """The weight of a criterion for teams of which all of `when` and one group of `any` hold."""

    weight: float
    because: str
    when: AllOf = ()
    any: tuple[AllOf, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """The figure of a proof that measures a criterion: `best` is rated 1, `worst` 0, by their logarithm between."""

    figure: str
    unit: str
    best: float
    worst: float


@dataclass(frozen=True, slots=True)
class Criterion:
    """What tools are compared by. `role` and `aspect` "": for all of them.

    `scale`: of scales.toml; or `computed`: votes, price, hours, hosting, current, licence or status.
    `weight`: 0 to 10, unless one of `changes` holds, the first of which counts.
    """

    id: str
    name: str
    weight: float
    text: str
    source: str
    role: str = ""
    aspect: str = ""
    scale: str = ""
    computed: str = ""
    changes: tuple[Change, ...] = ()
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class Scales:
    """How words become numbers: scale to word to its low and high, in 0 to 1.

    `caution`: where in an interval the score is taken, 0 its low end and 1 its high end. `half`: the votes that
    make half of full support. `price`, `hours`: points (US dollars a year, hours a month; rating), rising, between
    which ratings are interpolated. `stack`: what pairs of tools and overload add to a stack's worth.
    `says`: scale to how its words are told, with "{}" for the word.
    """

    words: Mapping[str, Mapping[str, tuple[float, float]]]
    caution: float
    half: float
    price: tuple[tuple[float, float], ...]
    hours: tuple[tuple[float, float], ...]
    stack: Mapping[str, float]
    says: Mapping[str, str]

    def told(self, scale: str, word: str) -> str:
        """The word as a person should read it."""
        return self.says.get(scale, "{}").replace("{}", word)


@dataclass(frozen=True, slots=True)
class OperationClass:
    """What it takes to run one kind of thing: hours of people and US dollars of infrastructure a month."""

    id: str
    text: str
    hours: tuple[float, float]
    infrastructure_usd: tuple[float, float]
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Load:
    """Infrastructure of tools in `roles` is multiplied by `tenfold` for each tenfold beyond `predictions_per_day`."""

    predictions_per_day: float
    tenfold: float
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """The assumptions about operating. `skill`: hours are multiplied by this where a tool needs Kubernetes, by the
    answer to infrastructure.kubernetes_skill. `hours_of`: the hours a month that one person of a kind (a key of the
    organization section) can give to operating. `unpriced`: US dollars a year that an unstated price is taken to be."""

    classes: Mapping[str, OperationClass]
    skill: Mapping[str, float]
    hours_of: Mapping[str, float]
    source: str
    unpriced: Mapping[str, tuple[float, float]]
    load: Load


@dataclass(frozen=True, slots=True)
class Pair:
    """Tools that are known to work together ("integrates"), to hinder ("conflicts") or to repeat ("duplicates") each
    other."""

    tools: tuple[str, str]
    kind: str
    text: str
    source: str
    date: datetime.date | None
    confidence: str


@dataclass(frozen=True, slots=True)
class MigrationPath:
    """From one tool to another, "*" for any. `works` False: a document names it, and it no longer does.

    `effort_days`: of one person, low and high.
    """

    role: str
    source_tool: str
    target: str
    works: bool
    steps: tuple[str, ...]
    effort_days: tuple[float, float]
    effort_source: str
    source: str
    date: datetime.date | None


@dataclass(frozen=True, slots=True)
class Install:
    """The lowest version of a Python tool that was installed alone and imported.

    `requirement`: as a resolver reads it. `also`: requirements that it has without saying so. `tested`: the day, None
    where nobody tried. `works` False: it installed and could not be imported. `packages`, `megabytes`: of its
    environment, 0 where not measured. `note`: what else there is to know.
    """

    tool: str
    distribution: str
    requirement: str
    tested: datetime.date | None
    python: str
    works: bool
    packages: int
    megabytes: int
    note: str
    also: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        return (self.requirement, *self.also)


@dataclass(frozen=True, slots=True)
class ReferenceStack:
    """A whole stack that a document recommends to teams for whom all of `when` holds.

    `roles`: the tools that it names, best first; none where it leaves the role out. `cost_claimed`: US dollars a year.
    """

    id: str
    name: str
    source: str
    when: AllOf
    roles: Mapping[str, tuple[str, ...]]
    cost_claimed: tuple[float, float] | None
    cost_text: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Where documents contradict each other or are overtaken, and what is followed. Told to teams for whom `when`
    holds and one of `tools` is in play (any, where none is named)."""

    number: int
    roles: tuple[str, ...]
    text: str
    sources: tuple[str, ...]
    followed: str
    when: AllOf
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known, checked. `digest`: "sha256:…" over all files."""

    tools: Mapping[str, Tool]
    questions: Mapping[str, Question]
    trees: Mapping[str, Tree]
    gates: tuple[Gate, ...]
    sources: Mapping[str, Source]
    votes: Votes
    digest: str
    criteria: tuple[Criterion, ...]
    scales: Scales
    operation: Operation
    pairs: tuple[Pair, ...]
    migrations: tuple[MigrationPath, ...]
    stacks: tuple[ReferenceStack, ...]
    contradictions: tuple[Contradiction, ...]
    installs: Mapping[str, Install]
