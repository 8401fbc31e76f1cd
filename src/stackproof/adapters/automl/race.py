"""Which model is fitted next, on how many rows, while the budget lasts.

Every kind of model starts on few rows. What it took there says what four times the rows would take, so
that no fit is begun which the budget cannot hold: a fit in scikit-learn cannot be stopped. Of the
drawn hyper-parameters, those that score below the median on few rows are not fitted on more.
"""

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from stackproof.adapters.automl.columns import Examples, Floats
from stackproof.adapters.automl.recipes import RECIPES, Params, Recipe, Task, fit, predictions
from stackproof.roles.automl import Candidate, Problem

FEWEST_ROWS = 1_000
GROWTH = 4
MOST_SCORED_ROWS = 10_000
SHARE_SCORED = 0.25
CAUTION = 1.5
SHARE_TO_SEARCH = 0.9
SHARE_OF_GRACE = 0.25
KEPT_MODELS = 3


@dataclass(slots=True)
class Entry:
    """One model in the race. `seconds` and `scores` hold one number for each size it was fitted on."""

    recipe: Recipe
    params: Params
    model: Any = None
    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    failure: str = ""
    note: str = ""

    @property
    def score(self) -> float | None:
        return self.scores[-1] if self.scores else None

    def candidate(self, *more: str) -> Candidate:
        """The entry as the leaderboard shows it; `more` is added to its note."""
        notes = [note for note in (self.failure, self.note, *more) if note]
        params = dict(self.params)
        return Candidate(self.recipe.name, self.score, sum(self.seconds), params, "; ".join(notes))


class Race:
    """One search. `run` fills `entries`; `refit` fits one of them on all rows."""

    def __init__(
        self,
        examples: Examples,
        task: Task,
        *,
        clock: Callable[[], float],
        started: float,
        budget_s: float,
        most: int,
        recipes: Sequence[Recipe] = RECIPES,
    ) -> None:
        """The budget began when the clock read `started`; `most` is the number of models tried at most."""
        self.entries: list[Entry] = []
        self._examples = examples
        self._task = task
        self._clock = clock
        self._deadline = started + budget_s * SHARE_TO_SEARCH
        self._grace_s = budget_s * SHARE_OF_GRACE
        self._most = most
        self._recipes = recipes
        order = spread_order(examples.target, task.problem, np.random.default_rng(task.seed))
        scored = max(2, min(round(len(order) * SHARE_SCORED), MOST_SCORED_ROWS))
        scored = min(scored, len(order) - 1)
        self._scored, rest = order[:scored], order[scored:]
        again = spread_order(examples.target[rest], task.problem, np.random.default_rng(task.seed + 1))
        self._fitted = rest[again]
        self._sizes = sizes_of(len(self._fitted))

    def run(self, on_entry: Callable[[Entry], None]) -> None:
        """First every recipe with its default parameters, then drawn ones. `on_entry` hears of each once."""
        firsts = [Entry(recipe, recipe.default) for recipe in self._recipes]
        for position, entry in enumerate(firsts):
            # The constant and the linear model are always tried: they are the least that a search gives.
            if position < 2 or self._left_s() > 0:
                self._fit_next_size(entry)
            else:
                entry.failure = "not tried: the budget was spent"
        for entry in sorted(firsts, key=_rank):
            self._climb(entry, lambda entry: True)
            self._add(entry, on_entry)
        self._draw_until_the_budget_is_spent(on_entry)

    def refit(self, entry: Entry) -> Any | None:
        """The model fitted on all rows; None when the budget does not hold that or it fails."""
        if CAUTION * self._expected_s(entry, len(self._examples.target)) > self._left_s() + self._grace_s:
            return None
        return self._fit(entry, np.arange(len(self._examples.target)))

    def _draw_until_the_budget_is_spent(self, on_entry: Callable[[Entry], None]) -> None:
        source = random.Random(self._task.seed)  # noqa: S311  # no secret is drawn
        while len(self.entries) < self._most:
            recipe = self._draw_recipe(source)
            if recipe is None or recipe.draw is None:
                return
            entry = Entry(recipe, recipe.draw(source))
            self._fit_next_size(entry)
            self._climb(entry, self._is_promising)
            self._add(entry, on_entry)

    def _draw_recipe(self, source: random.Random) -> Recipe | None:
        """Better kinds more often: the first in rank twice as often as the second, three times the third."""
        kinds = []
        for entry in sorted(self.entries, key=_rank):
            if entry.recipe not in kinds and entry.recipe.draw and self._can_afford(entry.recipe):
                kinds.append(entry.recipe)
        weights = [1 / rank for rank in range(1, len(kinds) + 1)]
        return source.choices(kinds, weights)[0] if kinds else None

    def _can_afford(self, recipe: Recipe) -> bool:
        seen = [entry.seconds[0] for entry in self.entries if entry.recipe is recipe and entry.seconds]
        return bool(seen) and CAUTION * max(seen) <= self._left_s() - self._refit_s()

    def _climb(self, entry: Entry, is_promising: Callable[[Entry], bool]) -> None:
        """Fit on ever more rows, while that is affordable and promising."""
        while entry.scores and not entry.failure and entry.rows < self._sizes[-1]:
            size = self._sizes[len(entry.scores)]
            shown = f"fitted on {entry.rows:,} of {self._sizes[-1]:,} rows"
            if not is_promising(entry):
                entry.note = f"{shown}: others scored higher on as many"
                return
            if CAUTION * self._expected_s(entry, size) > self._left_s() - self._refit_s():
                entry.note = f"{shown}: the budget did not hold more"
                return
            self._fit_next_size(entry)

    def _expected_s(self, entry: Entry, rows: int) -> float:
        """On the line through the last two sizes, never below the last; through zero after the first size."""
        last_s = entry.seconds[-1]
        if len(entry.scores) < 2:
            return last_s * rows / entry.rows
        before_s, before_rows = entry.seconds[-2], self._sizes[len(entry.scores) - 2]
        slope_s = (last_s - before_s) / (entry.rows - before_rows)
        return last_s + max(slope_s, 0.0) * (rows - entry.rows)

    def _is_promising(self, entry: Entry) -> bool:
        size = len(entry.scores)
        others = [other.scores[size - 1] for other in self.entries if len(other.scores) >= size]
        return entry.scores[-1] >= median(others)

    def _fit_next_size(self, entry: Entry) -> None:
        rows = self._fitted[: self._sizes[len(entry.scores)]]
        start = self._clock()
        model = self._fit(entry, rows)
        if model is not None:
            self._note_score(entry, model, len(rows))
        entry.seconds.append(self._clock() - start)

    def _note_score(self, entry: Entry, model: Any, rows: int) -> None:
        score = _score(self._task.problem, model, self._examples, self._scored)
        if np.isfinite(score):
            entry.model, entry.rows = model, rows
            entry.scores.append(score)
        else:
            entry.failure = "its predictions are not finite numbers"

    def _fit(self, entry: Entry, rows: Any) -> Any | None:
        matrix, target = self._examples.matrix[rows], self._examples.target[rows]
        try:
            with warnings.catch_warnings():
                # A model that has not converged, or overflowed, is judged by its score like any other.
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                return fit(entry.recipe, self._task, entry.params, matrix, target)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as failed:
            entry.failure = f"{type(failed).__name__}: {str(failed).splitlines()[0] if str(failed) else ''}"
            return None

    def _add(self, entry: Entry, on_entry: Callable[[Entry], None]) -> None:
        self.entries.append(entry)
        for outrun in sorted(self.entries, key=_rank)[KEPT_MODELS:]:
            if outrun.recipe.draw is not None:
                outrun.model = None
        on_entry(entry)

    def _left_s(self) -> float:
        return self._deadline - self._clock()

    def _refit_s(self) -> float:
        """What fitting the best entry on all rows would take."""
        best = min(self.entries, key=_rank, default=None)
        if best is None or not best.scores:
            return 0.0
        return CAUTION * self._expected_s(best, len(self._examples.target))


def ranked(entries: list[Entry]) -> list[Entry]:
    """Best first, those without a score last; the earlier first where scores are equal."""
    return sorted(entries, key=_rank)


def _rank(entry: Entry) -> float:
    return float("inf") if entry.score is None else -entry.score


def sizes_of(rows: int) -> list[int]:
    """All rows last, each size a quarter of the next; the first is at least `FEWEST_ROWS` or all rows."""
    sizes = [rows]
    while sizes[0] >= GROWTH * FEWEST_ROWS:
        sizes.insert(0, sizes[0] // GROWTH)
    return sizes


def spread_order(target: Floats, problem: Problem, source: np.random.Generator) -> Any:
    """A random order of the rows; for two classes, one whose every start has both in their proportion."""
    order = source.permutation(len(target))
    if problem is Problem.REGRESSION:
        return order
    place = np.empty(len(target))
    for label in (0.0, 1.0):
        members = order[target[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    return order[np.argsort(place[order], kind="stable")]


def _score(problem: Problem, model: Any, examples: Examples, rows: Any) -> float:
    target = examples.target[rows]
    with np.errstate(all="ignore"):
        predicted = predictions(problem, model, examples.matrix[rows])
        if problem is Problem.REGRESSION:
            return -float(np.sqrt(np.mean((predicted - target) ** 2)))
    return float(roc_auc_score(target, predicted)) if np.isfinite(predicted).all() else float("nan")
