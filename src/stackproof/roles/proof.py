"""The types of a proof: the measured result of a scenario on a tool, on a machine, at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured `len(values)` times, in the order measured. `unit` as in "s", "MB", "1/s"."""

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Conformance:
    """What the role's conformance suite said: `failed`, `deviating` and `lacking` are test to reason."""

    passed: int
    failed: Mapping[str, str]
    deviating: Mapping[str, str]
    lacking: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Proof:
    """`correct`: whether the tool gave the right results, whatever its speed; `faults` says what was wrong.

    `versions`: distribution to version. `machine`: what identifies it (processor, cores, memory, system).
    `lacking`: capabilities of the role that the adapter has not. `deviations`: test of the conformance suite to why
    the tool can't pass it. `conformance`: None when the suite was not run. `notes`: what a reader should know.
    """

    role: str
    tool: str
    scenario: str
    at: datetime
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    lock_digest: str
    correct: bool
    faults: tuple[str, ...]
    figures: tuple[Figure, ...]
    lacking: tuple[str, ...] = ()
    deviations: Mapping[str, str] = field(default_factory=dict)
    conformance: Conformance | None = None
    notes: tuple[str, ...] = ()
