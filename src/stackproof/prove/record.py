"""What the rounds of one candidate measured, and what was wrong."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeVar

from stackproof.prove.statistics import percentile
from stackproof.roles.proof import Figure

T = TypeVar("T")
MOST_FAULTS = 12


@dataclass(slots=True)
class Record:
    """Grows by one value of each figure a round. `counted` False: a round that only warms up."""

    counted: bool = True
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _values: dict[str, tuple[str, list[float]]] = field(default_factory=dict)

    def figure(self, name: str, unit: str, value: float) -> None:
        """One more value of a figure. What is no finite number says nothing and is left out."""
        if self.counted and isfinite(value):
            self._values.setdefault(name, (unit, []))[1].append(value)

    def rate(self, name: str, count: float, seconds: float, unit: str = "1/s") -> None:
        """`count` of something in that time."""
        self.figure(name, unit, count / max(seconds, 1e-9))

    def latencies(self, name: str, seconds: Sequence[float]) -> None:
        """The median and the 99th percentile of the times of calls, in milliseconds, as NAME_p50 and NAME_p99."""
        for suffix, share in (("p50", 0.5), ("p99", 0.99)):
            self.figure(f"{name}_{suffix}", "ms", 1e3 * percentile(seconds, share))

    def check(self, holds: bool, otherwise: str) -> bool:
        """Whether a result is what the contract asks for; what is wrong is kept once, in words."""
        if not holds and otherwise not in self.faults and len(self.faults) < MOST_FAULTS:
            self.faults.append(otherwise)
        return holds

    def note(self, said: str) -> None:
        if said not in self.notes:
            self.notes.append(said)

    @property
    def correct(self) -> bool:
        return not self.faults

    def figures(self) -> tuple[Figure, ...]:
        """In the order in which they were first measured."""
        return tuple(Figure(name, unit, tuple(values)) for name, (unit, values) in self._values.items())


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What the call returned, and the seconds that it took."""
    started = time.perf_counter()
    value = call()
    return value, time.perf_counter() - started


def times(calls: Iterable[Callable[[], object]]) -> list[float]:
    """The seconds of each call, made one after the other."""
    return [timed(call)[1] for call in calls]
