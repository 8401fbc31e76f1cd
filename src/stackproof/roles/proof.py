"""The types of a proof: the measured result of a scenario on a tool, on a machine, at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured `len(values)` times, in the order measured. `unit` as in "s", "MB", "1/s"."""

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """`correct`: whether the tool gave the right results, whatever its speed; `faults` says what was wrong.

    `versions`: distribution to version. `machine`: what identifies it (processor, cores, memory, system).
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
