"""What the ledger holds: entities, and links between them.

A link reads "source RELATION target" and always points upstream: from what came later to what it rests on.
So following links from a prediction leads to everything behind it.

    prediction --PREDICTED_BY--> deployment --DEPLOYED_AS--> model --REGISTERED_FROM--> run
    run --USED--> data, features, code, env, step        data, features --DERIVED_FROM--> data
    a result --PRODUCED_BY--> the step or run that made it; alert --USED--> deployment
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from stackproof.errors import RefusedInput

JSON: TypeAlias = "str | int | float | bool | Mapping[str, JSON] | list[JSON] | tuple[JSON, ...] | None"


class Kind(StrEnum):
    """What stands before ":" in an identifier. The ledger takes other kinds as well."""

    DATASET = "data"
    FEATURE_SET = "features"
    CODE = "code"
    ENVIRONMENT = "env"
    RUN = "run"
    MODEL = "model"
    DEPLOYMENT = "deployment"
    PREDICTION = "prediction"
    ALERT = "alert"
    DECISION = "decision"
    PROOF = "proof"
    STEP = "step"
    MONITOR = "monitor"
    OUTCOME = "outcome"


class Relation(StrEnum):
    """How the source of a link rests on its target."""

    USED = "used"
    """Read it or acted on it: a run used data, a retraining used an alert, a deployment used a decision."""
    PRODUCED_BY = "produced by"
    """Was made by that run or step."""
    DERIVED_FROM = "derived from"
    """Its content was computed from it: a table from its sources, features from data."""
    REGISTERED_FROM = "registered from"
    """A model version from the run that trained it."""
    DEPLOYED_AS = "deployed as"
    """A deployment sends requests to that model version."""
    PREDICTED_BY = "predicted by"
    """A prediction was answered by that deployment, and by that model version."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing. `id` is "kind:…"; `at` when it came to be, aware; `attributes` only ever grow."""

    id: str
    kind: str
    at: datetime
    attributes: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """`source` RELATION `target`, both identifiers; the target lies upstream."""

    source: str
    relation: Relation
    target: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """`entities` in breadth-first order, the start first; `links` between them in the order found.

    An identifier that a link names and the ledger does not hold is in `links` only. `complete` is
    False when the limit cut the walk short.
    """

    entities: tuple[Entity, ...]
    links: tuple[Link, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether the ledger is as it was written. `first_bad`: the number of the first bad batch, from 1."""

    ok: bool
    batches: int
    first_bad: int | None
    detail: str


def kind_of(identifier: str) -> str:
    """What stands before the colon. Raises `RefusedInput` when there is none."""
    kind, colon, rest = identifier.partition(":")
    if not (kind and colon and rest):
        raise RefusedInput("That is no identifier", got=repr(identifier), allowed='"kind:name", such as "run:01J…"')
    return kind


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; NaN and the infinities are kept. Raises `RefusedInput`."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise RefusedInput(
            "A value cannot be kept in the ledger", got=f"{value!r:.200}: {error}", allowed="JSON values"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")
