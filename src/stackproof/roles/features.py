"""Features: definitions, point-in-time joins for training, lookups for serving.

Capabilities: "historical" (`HistoricalFeatures`), "online" (`OnlineFeatures`), and "online-as-of"
(the online lookup accepts a past instant).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from stackproof.roles.table import Table

Value: TypeAlias = str | int | float | bool | None


class Aggregate(StrEnum):
    """How the rows of a window become one value. Missing values are left out; COUNT counts the rest.

    An empty window gives null for MEAN, MIN and MAX, and 0 for COUNT and SUM.
    """

    MEAN = "mean"
    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: the latest value of a column, or an aggregate of it over the view's window."""

    name: str
    column: str
    aggregate: Aggregate | None = None


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of one entity from one source table.

    `entity`: the key columns, in order. `known_at`: the column with the instant from which a row is
    known (not when it happened). `features`: either all plain columns, or all aggregates over
    `window`; then the value at t covers the rows with t - window < known_at <= t.
    `max_age`: a plain value older than this is missing; None means no limit.
    """

    name: str
    source: str
    entity: tuple[str, ...]
    known_at: str
    features: tuple[Feature, ...]
    window: timedelta | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """What a lookup found for one entity in one view.

    `known_at` is the instant of the row used, None when nothing was found; then a plain value is None
    and an aggregate that of an empty window. `version`: the source's dataset version as given to
    `materialize`.
    """

    values: Mapping[str, Value]
    known_at: datetime | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Materialization:
    """What is readable online for a view. `rows`: source rows with a key and an instant.

    `watermark` is the latest `known_at`; None with no rows.
    """

    view: str
    version: str
    rows: int
    watermark: datetime | None


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """One entity's values by key column, and the instant.

    `as_of` None means the latest that is known: the instant of the view's watermark, from which
    `window` and `max_age` count as well.
    """

    entity: Mapping[str, Value]
    as_of: datetime | None = field(default=None)


class HistoricalFeatures(Protocol):
    """Capability "historical"."""

    def point_in_time_join(
        self,
        rows: Table,
        views: Sequence[tuple[FeatureView, Table]],
        *,
        as_of: str,
    ) -> Table:
        """`rows` with the features of each view as of the instant in the column `as_of`.

        Returns exactly the rows given, in their order, with one column added for each feature.
        For each row the latest source row of its entity with known_at <= as_of counts; on equal
        `known_at` the later one in the source. No match gives null, or the aggregate of an empty
        window; a null key or a null instant gives null always.
        Raises `InvalidTable` for a missing column, and when a feature's name is taken.
        """
        ...


class OnlineFeatures(Protocol):
    """Capability "online"."""

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        """Replace what is readable for the view, durably: a reader sees all of the old or all of the new."""
        ...

    def materialized(self) -> list[Materialization]:
        """What is readable now, by view name."""
        ...

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        """One row per request, in order; the same values as a point-in-time join at that instant.

        All rows of one call come from one materialization.
        Raises `NotFound` for a view never materialized, `RefusedInput` for a missing key column.
        """
        ...
