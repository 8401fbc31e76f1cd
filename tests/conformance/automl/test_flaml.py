"""FLAML keeps the contract of `automl`; its own functions read the log of its trials and fit the best again from it."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stackproof.adapters.automl.columns import read_examples
from stackproof.adapters.automl.flaml import ESTIMATORS, Flaml
from stackproof.adapters.serving.models import OnnxModel
from stackproof.errors import NotCapable, RefusedInput, StorageFailed
from stackproof.roles.automl import Candidate, Problem
from stackproof.roles.serving import Signature
from stackproof.testing.automl import BINARY, AutoMLConformance, search, search_both

pytestmark = pytest.mark.tools
ROLE, TOOL = "automl", "flaml"


@pytest.mark.usefixtures("in_its_own_environment")
class TestFlaml(AutoMLConformance):
    """One child serves all tests that share nothing: FLAML takes seconds to import."""

    deviations = Flaml.deviations

    @pytest.fixture
    def adapter(self, shared: Any) -> Any:
        return shared


def timetable(rows: int = 800) -> pl.DataFrame:
    """Numbers of any size and sign, zeros, many categories, and values missing in some columns only."""
    source = random.Random(8)
    airports = [f"airport {number}" for number in range(40)]
    slow = set(source.sample(airports, 20))
    records = []
    for _ in range(rows):
        origin, wind, stops, night = (
            source.choice(airports),
            source.gauss(0, 1),
            source.randrange(-2, 3),
            source.random() < 0.4,
        )
        delay = 900 + 3 * wind + stops + (6 if origin in slow else 0) * (1 if night else -1) + source.gauss(0, 0.5)
        records.append(
            {
                'the "origin", quoted': None if source.random() < 0.1 else origin,
                "wind": None if source.random() < 0.15 else wind * 1e4,
                "stops": stops,
                "": night,
                "delay": delay,
                "late": delay > 900,
            }
        )
    return pl.DataFrame(records)


TIMETABLE = timetable()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_best_of_each_kind_is_served_as_it_predicts_in_flaml(
    made: Callable[..., Any], tmp_path: Path, estimator: str
) -> None:
    """The adapter refuses to write another: it compares them, also with missing values where the table has none."""
    adapter = made(tmp_path, estimators=estimator, most_trials=12)
    for problem, target, other in ((Problem.BINARY, "late", "delay"), (Problem.REGRESSION, "delay", "late")):
        into = tmp_path / problem
        leaderboard = search(adapter, TIMETABLE.drop(other), into, target=target, problem=problem, budget_s=600)
        assert {candidate.name for candidate in leaderboard.candidates} == {estimator}
        assert len(leaderboard.candidates) == 12
        predicted = served(into, TIMETABLE.drop(other), target, problem)
        assert np.corrcoef(predicted, TIMETABLE[target].cast(pl.Float64))[0, 1] > 0.4
    adapter.close()


def served(package: Path, table: pl.DataFrame, target: str, problem: Problem) -> Any:
    """What a server that loads the package predicts for the table."""
    signature = Signature.read(package)
    model = OnnxModel((package / signature.file).read_bytes(), signature)
    matrix = read_examples(table, target, problem).matrix.astype(np.float32)
    return model.predict(matrix)[signature.outputs[0].name]


READ = """
import json, sys
import numpy
from flaml import AutoML
from flaml.automl.data import get_output_from_log

log, table = sys.argv[1:]
times, best, errors, configs, _ = get_output_from_log(log, time_budget=1e9)
rows = numpy.load(table)
automl = AutoML()
automl.retrain_from_log(
    log, X_train=rows["matrix"], y_train=rows["target"].astype(int), task="classification", train_full=True,
    n_jobs=1, auto_augment=False,
)
print(json.dumps({
    "learners": [config["Current Learner"] for config in configs],
    "params": [config["Current Hyper-parameters"] for config in configs],
    "errors": errors,
    "predicted": automl.predict_proba(rows["matrix"])[:, 1].tolist(),
}))
"""


def test_its_own_functions_read_the_trials_and_fit_the_best_again_as_it_is_served(
    made: Callable[..., Any], python: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home, estimators="lgbm", most_trials=8)
    heard: list[Candidate] = []
    search(adapter, BINARY, tmp_path / "package", budget_s=600, on_candidate=heard.append)
    (log,) = (home / "logs").iterdir()
    assert str(log.parent) in adapter.health().detail
    adapter.close()
    examples = read_examples(BINARY, "late", Problem.BINARY)
    np.savez(tmp_path / "table.npz", matrix=examples.matrix, target=examples.target)
    told = subprocess.run(
        [str(python), "-W", "ignore", "-c", READ, str(log), str(tmp_path / "table.npz")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["learners"] == [candidate.name for candidate in heard]
    assert found["params"] == [candidate.params for candidate in heard]
    assert np.allclose([1 - error for error in found["errors"]], [candidate.score for candidate in heard])
    ours = served(tmp_path / "package", BINARY, "late", Problem.BINARY)
    assert np.abs(ours - np.array(found["predicted"])).max() < 1e-4


@pytest.mark.parametrize("problem", list(Problem))
def test_the_same_seed_tries_the_same_in_turn(made: Callable[..., Any], tmp_path: Path, problem: Problem) -> None:
    adapter = made(tmp_path, most_trials=10, learner_selector="roundrobin")

    def tried(seed: int, name: str) -> list[tuple[str, str, float | None]]:
        leaderboard = search_both(adapter, problem, tmp_path / name, budget_s=600, seed=seed)
        return [(c.name, str(c.params), c.score) for c in leaderboard.candidates]

    first = tried(3, "first")
    assert tried(3, "second") == first
    assert tried(4, "third") != first
    adapter.close()


def test_two_rows_of_a_class_are_enough(shared: Any, tmp_path: Path) -> None:
    rare = BINARY.group_by("late", maintain_order=True).head(2)
    assert search(shared, rare, tmp_path / "package").candidates[0].score is not None


def test_a_column_that_says_nothing_gives_a_model_that_answers_the_same_for_all(shared: Any, tmp_path: Path) -> None:
    constant = BINARY.select("late", stops=pl.lit(1))
    best = search(shared, constant, tmp_path / "package").candidates[0]
    assert best.score == 0.5
    assert len(set(served(tmp_path / "package", constant, "late", Problem.BINARY))) == 1


def test_two_rows_of_a_number_are_too_few_and_it_says_so(shared: Any, tmp_path: Path) -> None:
    with pytest.raises(NotCapable, match="FLAML"):
        search(shared, TIMETABLE.head(2), tmp_path / "package", target="delay", problem=Problem.REGRESSION)
    assert not (tmp_path / "package").exists()


def test_an_error_of_the_listener_ends_the_search(shared: Any, tmp_path: Path) -> None:
    def listen(candidate: Candidate) -> None:
        raise ValueError("not mine")

    with pytest.raises(ValueError, match="not mine"):
        search(shared, BINARY, tmp_path / "package", budget_s=600, on_candidate=listen)
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"folds": 1},
        {"estimators": "lgbm, catboost"},
        {"learner_selector": "sample, roundrobin"},
        {"thread": 2},
        {"threads": 0},
        {"most_trials": 1},
    ],
    ids=str,
)
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(tmp_path, **options)


def test_a_log_that_cannot_be_written_is_told_as_such(made: Callable[..., Any], home: Path, tmp_path: Path) -> None:
    (home / "logs").write_text("a file in the way")
    with pytest.raises(StorageFailed, match="log of its trials"):
        search(made(home), BINARY, tmp_path / "package", budget_s=1)
