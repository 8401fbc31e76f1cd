"""How one call of an objective becomes a finished trial, and finished trials a study."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stackproof.roles.tuning import Direction, FinishedTrial, PrunedTrial, Study, Trial, TrialStatus

NOT_A_NUMBER = "the objective returned NaN"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` is None unless COMPLETE; `error` is None unless FAILED."""

    status: TrialStatus
    value: float | None = None
    error: str | None = None


def call_objective(objective: Callable[[Trial], float], trial: Trial, was_told_to_stop: Callable[[], bool]) -> Outcome:
    """Run the objective once. A trial that was told to stop is PRUNED, whether it raises or returns.

    `KeyboardInterrupt` and `SystemExit` pass through.
    """
    try:
        value = float(objective(trial))
    except PrunedTrial:
        return Outcome(TrialStatus.PRUNED)
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything, and the study goes on
        return Outcome(TrialStatus.FAILED, error=f"{type(error).__name__}: {error}")
    if was_told_to_stop():
        return Outcome(TrialStatus.PRUNED)
    if math.isnan(value):
        return Outcome(TrialStatus.FAILED, error=NOT_A_NUMBER)
    return Outcome(TrialStatus.COMPLETE, value=value)


def study_of(name: str, direction: Direction, trials: Sequence[FinishedTrial]) -> Study:
    """The study of these trials, which are in the order of their numbers."""
    return Study(name, direction, tuple(trials), _best(direction, trials))


def _best(direction: Direction, trials: Sequence[FinishedTrial]) -> FinishedTrial | None:
    best: FinishedTrial | None = None
    for trial in trials:
        if trial.value is not None and (best is None or _is_better(direction, trial.value, best.value)):
            best = trial
    return best


def _is_better(direction: Direction, value: float, best: float | None) -> bool:
    if best is None:
        return True
    return value < best if direction is Direction.MINIMIZE else value > best
