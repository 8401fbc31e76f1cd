"""Validation: does a table keep what was declared about it?

Capabilities: "validate" (`TableValidator`), "profile" (`Profiler`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from stackproof.roles.table import Table


class Severity(StrEnum):
    """A failed ERROR stops what was to come; a failed WARNING is shown."""

    ERROR = "error"
    WARNING = "warning"


class ColumnType(StrEnum):
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What all kinds of expectation share."""

    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class HasColumn(Expectation):
    """The column is there and holds values of this type. An integer is a number as well."""

    column: str
    type: ColumnType


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing(Expectation):
    """At most this share (0 to 1) of the column is null. NaN counts as null."""

    column: str
    at_most: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Between(Expectation):
    """low <= value <= high for every value that is there. None leaves a side open."""

    column: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(Expectation):
    """Every value that is there is one of these."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(Expectation):
    """No two rows agree in all of these columns, of which each is named once."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class References(Expectation):
    """Every value that is there occurs in a column of another table."""

    column: str
    table: str
    other_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount(Expectation):
    """at_least <= rows <= at_most. None leaves a side open."""

    at_least: int | None = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one expectation fared. `failing` of `checked` rows fail; `examples` holds up to five of
    their values as text. `detail` is one line for a person. A column that is missing, or of a type
    that can't be compared, makes the outcome not ok with `failing` == `checked`.
    """

    expectation: Expectation
    ok: bool
    failing: int
    checked: int
    examples: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """One outcome per expectation, in the order given. `ok`: no ERROR failed."""

    table: str
    rows: int
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        return all(o.ok or o.expectation.severity is Severity.WARNING for o in self.outcomes)


class TableValidator(Protocol):
    """Capability "validate"."""

    def validate(
        self,
        name: str,
        table: Table,
        expectations: Sequence[Expectation],
        *,
        others: Mapping[str, Table] | None = None,
    ) -> ValidationReport:
        """Check every expectation; a failing one never stops the others.

        `others`: the tables that `References` name. Raises `RefusedInput` when one of them is missing, for a column
        that `Unique` names twice, and for a share that is none.
        """
        ...


class Profiler(Protocol):
    """Capability "profile"."""

    def profile(self, table: Table) -> list[Expectation]:
        """Expectations that the table itself keeps: a draft for a person to edit. By column order."""
        ...
