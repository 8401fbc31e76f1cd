"""AutoML: the best model for a table within a time budget.

Capabilities: "search" (`AutoML`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from stackproof.roles.table import Table


class Problem(StrEnum):
    """BINARY: the target is boolean, scored by ROC AUC. REGRESSION: a number, scored by -RMSE."""

    BINARY = "binary"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that was tried. `score`: on rows it was not fitted on, higher is better; None when
    it failed or did not finish, with the reason in `note`.
    """

    name: str
    score: float | None
    fit_s: float
    params: Mapping[str, object]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """All candidates, best first, those without a score last; and the best one's model package."""

    problem: Problem
    candidates: tuple[Candidate, ...]
    package: Path


class AutoML(Protocol):
    """Capability "search"."""

    def search(
        self,
        table: Table,
        *,
        target: str,
        problem: Problem,
        budget_s: float,
        seed: int,
        into: Path,
        on_candidate: Callable[[Candidate], None] | None = None,
    ) -> Leaderboard:
        """Try models until the budget is spent; write the best one as a servable package to `into`.

        At least one candidate is fitted whatever the budget. Numbers, booleans and strings are
        taken as features; missing values are allowed in them. Raises `InvalidTable` when the target
        is missing, holds nulls or a single class, or no feature is left; `Conflict` when `into` exists.
        """
        ...
