"""Tuning: search a space of parameters for the best value of an objective.

Capabilities: "search" (`Tuner`), "prune" (bad trials are ended early), "resume" (a study goes on
after its process died).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

ParamValue: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class FloatRange:
    """low <= value <= high; on a log scale when `log` (then low > 0)."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class IntRange:
    """low <= value <= high, both included; on a log scale when `log` (then low > 0)."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values."""

    values: tuple[ParamValue, ...]


Space: TypeAlias = Mapping[str, FloatRange | IntRange | Choice]


class Direction(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class TrialStatus(StrEnum):
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Trial(Protocol):
    """What an objective is given."""

    number: int
    params: Mapping[str, ParamValue]

    def report(self, step: int, value: float) -> bool:
        """Report an intermediate value. Returns whether the trial should stop now.

        An objective that stops raises `PrunedTrial` or returns its last value.
        """
        ...


class PrunedTrial(Exception):
    """Raised by an objective whose trial was told to stop. Not an error."""


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """`value` is None unless COMPLETE. `error` is the text of what a FAILED one raised."""

    number: int
    params: Mapping[str, ParamValue]
    value: float | None
    status: TrialStatus
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """All trials by number, and the best complete one; on equal values the earlier."""

    name: str
    direction: Direction
    trials: tuple[FinishedTrial, ...]
    best: FinishedTrial | None


class Tuner(Protocol):
    """Capability "search"."""

    def optimize(
        self,
        name: str,
        space: Space,
        objective: Callable[[Trial], float],
        *,
        direction: Direction,
        trials: int,
        seed: int,
        timeout_s: float | None = None,
        on_trial: Callable[[FinishedTrial], None] | None = None,
    ) -> Study:
        """Run `trials` trials one after the other and return the study.

        The same space, seed and objective give the same trials. An objective that raises makes a
        FAILED trial and the study goes on; so does one that returns NaN. With "resume", the trials
        that a study of this name already has count towards `trials`.
        Raises `RefusedInput` for an empty space or range, `Conflict` when a study of this name
        exists with another space or direction.
        """
        ...
