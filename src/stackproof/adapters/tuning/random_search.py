"""Tuning by drawing every trial at random: the standard library alone, nothing kept."""

import math
import platform
import random
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from stackproof.adapters.tuning.outcomes import call_objective, study_of
from stackproof.adapters.tuning.spaces import check_request
from stackproof.errors import Conflict
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tuning import (
    Choice,
    Direction,
    FinishedTrial,
    FloatRange,
    IntRange,
    ParamValue,
    Space,
    Study,
    Trial,
)


class RandomSearch:
    """Capability "search". A study of a known name starts anew, in the same space and direction."""

    tool: ClassVar[str] = "random"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back; a timeout is measured with it."""
        self._clock = clock
        self._known: dict[str, tuple[dict[str, object], Direction]] = {}

    def health(self) -> Health:
        return Health(True, platform.python_version(), "random search of the standard library, in memory")

    def close(self) -> None:
        self._known.clear()

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
        check_request(space, trials, timeout_s)
        if self._known.setdefault(name, (dict(space), direction)) != (dict(space), direction):
            raise Conflict(f"The study {name!r} exists with another space or direction")
        deadline = math.inf if timeout_s is None else self._clock() + timeout_s
        finished: list[FinishedTrial] = []
        while len(finished) < trials and self._clock() < deadline:
            finished.append(_run(objective, _draw(space, seed, len(finished)), len(finished)))
            if on_trial is not None:
                on_trial(finished[-1])
        return study_of(name, direction, finished)


class _RandomTrial:
    """A trial that is never told to stop."""

    def __init__(self, number: int, params: Mapping[str, ParamValue]) -> None:
        self.number = number
        self.params = params

    def report(self, step: int, value: float) -> bool:
        return False


def _run(objective: Callable[[Trial], float], params: dict[str, ParamValue], number: int) -> FinishedTrial:
    outcome = call_objective(objective, _RandomTrial(number, dict(params)), lambda: False)
    return FinishedTrial(number, params, outcome.value, outcome.status, outcome.error)


def _draw(space: Space, seed: int, number: int) -> dict[str, ParamValue]:
    # One stream per parameter: the order in which a space names its parameters does not matter.
    return {
        name: _draw_from(domain, random.Random(f"{seed}:{number}:{name}"))  # noqa: S311  # no secret is drawn
        for name, domain in space.items()
    }


def _draw_from(domain: FloatRange | IntRange | Choice, source: random.Random) -> ParamValue:
    if isinstance(domain, Choice):
        return source.choice(domain.values)
    if isinstance(domain, IntRange) and not domain.log:
        return source.randint(domain.low, domain.high)
    if isinstance(domain, IntRange):
        whole = round(_on_log_scale(domain.low - 0.5, domain.high + 0.5, source.random()))
        return min(max(whole, domain.low), domain.high)
    share = source.random()
    if domain.log:
        value = _on_log_scale(domain.low, domain.high, share)
    else:
        value = domain.low * (1 - share) + domain.high * share
    return min(max(value, float(domain.low)), float(domain.high))


def _on_log_scale(low: float, high: float, share: float) -> float:
    return math.exp(math.log(low) * (1 - share) + math.log(high) * share)
