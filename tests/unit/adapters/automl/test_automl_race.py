import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.adapters.automl.columns import Examples
from stackproof.adapters.automl.race import Entry, Race, ranked, sizes_of, spread_order
from stackproof.adapters.automl.recipes import Params, Recipe, Task
from stackproof.roles.automl import Problem
from stackproof.roles.serving import TensorSpec

FEATURES = (TensorSpec("x", "FP64"),)


class Clock:
    """Time passes only when a fit says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.fitted_rows: list[int] = []

    def __call__(self) -> float:
        return self.now_s


class Guess:
    """Predicts the same number for all rows."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, matrix: Any) -> Any:
        return np.full(len(matrix), self.value)


def recipe(clock: Clock, name: str, s_per_row: float, guess: float = 0.0, fails: bool = False) -> Recipe:
    def fit(task: Task, params: Params, matrix: Any, target: Any) -> Any:
        clock.now_s += s_per_row * len(matrix)
        clock.fitted_rows.append(len(matrix))
        if fails:
            raise ValueError("singular\nmatrix")
        return Guess(params.get("guess", guess))

    def draw(source: random.Random) -> Params:
        return {"guess": source.uniform(-10, 10)}

    return Recipe(name, fit, {}, draw)


def race(clock: Clock, recipes: list[Recipe], *, rows: int, budget_s: float, most: int = 30) -> Race:
    examples = Examples(np.zeros((rows, 1)), np.ones(rows), FEATURES, ())
    task = Task(Problem.REGRESSION, FEATURES, seed=1, threads=1)
    return Race(examples, task, clock=clock, started=clock(), budget_s=budget_s, most=most, recipes=recipes)


def run(started: Race) -> list[Entry]:
    heard: list[Entry] = []
    started.run(heard.append)
    assert heard == started.entries
    return ranked(started.entries)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(10, 60_000),
    st.floats(0.0, 20.0),
    st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=5),
)
def test_nothing_is_begun_that_the_budget_does_not_hold(rows: int, budget_s: float, costs: list[float]) -> None:
    clock = Clock()
    started = race(clock, [recipe(clock, f"r{n}", cost) for n, cost in enumerate(costs)], rows=rows, budget_s=budget_s)
    entries = run(started)
    # The first two are tried whatever the budget, and the first fit of each other kind cannot be foreseen.
    smallest_fit_s = max(costs) * clock.fitted_rows[0]
    assert clock.now_s <= max(budget_s, 2 * smallest_fit_s) + smallest_fit_s
    searched_s = clock.now_s
    started.refit(entries[0])
    assert clock.now_s <= max(1.15 * budget_s, searched_s)


def test_a_long_budget_fits_every_recipe_on_all_rows_and_draws_until_the_most_is_reached() -> None:
    clock = Clock()
    started = race(clock, [recipe(clock, "a", 1e-6), recipe(clock, "b", 1e-6)], rows=40_000, budget_s=1e6)
    entries = run(started)
    assert len(entries) == 30
    assert {entry.rows for entry in started.entries[:2]} == {30_000}
    assert sorted(set(clock.fitted_rows)) == [1875, 7500, 30_000]


def test_no_budget_still_tries_the_first_two_recipes_and_says_why_not_the_others() -> None:
    clock = Clock()
    started = race(clock, [recipe(clock, name, 1.0) for name in "abc"], rows=100, budget_s=0.0)
    entries = run(started)
    assert [entry.score is not None for entry in entries] == [True, True, False]
    assert "not tried" in entries[-1].candidate().note
    assert started.refit(entries[0]) is None


def test_a_drawn_model_below_the_median_on_few_rows_is_not_fitted_on_more() -> None:
    clock = Clock()
    started = race(clock, [recipe(clock, "a", 1e-6, guess=1.0)], rows=40_000, budget_s=1e6)
    entries = run(started)
    stopped = [entry for entry in entries if "others scored higher" in entry.note]
    assert stopped
    assert all(entry.rows < 30_000 for entry in stopped)
    assert entries[0].recipe.name == "a"
    assert entries[0].score == 0.0


def test_a_model_that_fails_or_predicts_no_numbers_is_last_with_its_reason() -> None:
    clock = Clock()
    recipes = [
        recipe(clock, "fails", 1e-6, fails=True),
        recipe(clock, "endless", 1e-6, guess=float("inf")),
        recipe(clock, "good", 1e-6),
    ]
    entries = run(race(clock, recipes, rows=100, budget_s=1e6, most=3))
    assert entries[0].recipe.name == "good"
    notes = {entry.recipe.name: entry.candidate().note for entry in entries if entry.score is None}
    assert notes == {
        "fails": "ValueError: singular",
        "endless": "its predictions are not finite numbers",
    }


def test_only_models_that_may_still_be_written_are_kept_in_memory() -> None:
    clock = Clock()
    started = race(clock, [recipe(clock, "a", 1e-6)], rows=100, budget_s=1e6)
    entries = run(started)
    assert [entry.model is not None for entry in entries] == [True] * 3 + [False] * 27


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 40), st.integers(2, 400), st.integers(0, 2**31))
def test_every_start_of_the_order_has_both_classes_in_proportion(few: int, many: int, seed: int) -> None:
    target = np.array([1.0] * few + [0.0] * many)
    order = spread_order(target, Problem.BINARY, np.random.default_rng(seed))
    assert sorted(order) == list(range(few + many))
    for size in range(2, few + many + 1):
        positive = target[order[:size]].sum()
        assert 0 < positive < size
        assert abs(positive - size * few / (few + many)) <= 2


@given(st.integers(1, 10**8))
def test_sizes_grow_to_all_rows(rows: int) -> None:
    sizes = sizes_of(rows)
    assert sizes[-1] == rows
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= min(rows, 1_000)
    assert sizes[0] < 4_000
