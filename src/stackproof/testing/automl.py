"""The contract of `stackproof.roles.automl` as tests that any AutoML tool can run."""

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.errors import Conflict, InvalidTable
from stackproof.roles.automl import Candidate, Leaderboard, Problem
from stackproof.roles.serving import Signature
from stackproof.testing.conformance import Conformance

ROWS = 500
BUDGET_S = 0.4
LEARNING_S = 6.0
"""Enough for more than the first model also where a tool takes long to begin."""


def flights(rows: int = ROWS) -> pl.DataFrame:
    """`late` and `delay` follow from the other columns but for some noise; each of those has missing values."""
    source = random.Random(5)
    records = []
    for number in range(rows):
        wind, stops = source.gauss(20, 8), source.randrange(3)
        origin, holiday = source.choice(["Zürich", "北京", "JFK"]), source.random() < 0.3
        delay = wind - 20 + 6 * stops + (9 if origin == "JFK" else 0) + source.gauss(0, 3)
        record = {"wind": wind, "stops": stops, "origin": origin, "holiday": holiday}
        missing = list(record)[number % 20] if number % 20 < len(record) else None
        records.append({**record, **({missing: None} if missing else {}), "delay": delay, "late": delay > 8})
    return pl.DataFrame(records)


BINARY = flights().drop("delay")
REGRESSION = flights().drop("late")

UNFIT: Mapping[str, pl.DataFrame] = {
    "a table without the target": BINARY.drop("late"),
    "a target with nulls": BINARY.with_columns(late=pl.when(pl.col("stops") < 2).then("late")),
    "a target of one class": BINARY.with_columns(late=pl.lit(True)),
    "a table with nothing but the target": BINARY.select("late"),
    "a table whose features are all null": BINARY.select("late", wind=pl.lit(None, pl.Float64)),
    "a table without rows": BINARY.clear(),
}


class ArrowOnly:
    """A table of which nothing is known but its Arrow stream."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def search(adapter: Any, table: object, into: Path, **changes: Any) -> Leaderboard:
    """One search with the arguments that a test does not care about filled in."""
    request = {"target": "late", "problem": Problem.BINARY, "budget_s": BUDGET_S, "seed": 3} | changes
    leaderboard: Leaderboard = adapter.search(table, into=into, **request)
    return leaderboard


def search_both(adapter: Any, problem: Problem, into: Path, **changes: Any) -> Leaderboard:
    """A search on the flights for either problem."""
    table, target = (BINARY, "late") if problem is Problem.BINARY else (REGRESSION, "delay")
    return search(adapter, table, into, problem=problem, target=target, **changes)


class AutoMLConformance(Conformance):
    """Subclasses give `make`."""

    @pytest.fixture
    def into(self, tmp_path: Path) -> Path:
        return tmp_path / "package"

    @pytest.mark.parametrize("problem", list(Problem))
    def test_candidates_are_ranked_best_first_and_those_without_a_score_last(
        self, adapter: Any, into: Path, problem: Problem
    ) -> None:
        leaderboard = search_both(adapter, problem, into)
        assert leaderboard.problem is problem
        ranks = [-math.inf if c.score is None else c.score for c in leaderboard.candidates]
        assert ranks == sorted(ranks, reverse=True)
        assert all(c.note for c in leaderboard.candidates if c.score is None)
        assert all(c.fit_s >= 0 and c.name for c in leaderboard.candidates)

    def test_a_binary_target_that_follows_from_the_features_is_learned(self, adapter: Any, into: Path) -> None:
        best = search_both(adapter, Problem.BINARY, into, budget_s=LEARNING_S).candidates[0]
        assert best.score is not None
        assert 0.85 < best.score <= 1.0

    def test_a_number_that_follows_from_the_features_is_learned(self, adapter: Any, into: Path) -> None:
        best = search_both(adapter, Problem.REGRESSION, into, budget_s=LEARNING_S).candidates[0]
        deviation = REGRESSION["delay"].std()
        assert best.score is not None
        assert isinstance(deviation, float)
        assert -0.8 * deviation < best.score < 0

    @pytest.mark.parametrize("problem", list(Problem))
    def test_the_best_is_written_as_a_package_that_says_what_it_takes(
        self, adapter: Any, into: Path, problem: Problem
    ) -> None:
        leaderboard = search_both(adapter, problem, into)
        signature = Signature.read(into)
        assert leaderboard.package == into
        assert signature.format in {"onnx", "xgboost-json"}
        assert (into / signature.file).stat().st_size > 0
        assert len(signature.outputs) == 1
        kinds = {"wind": "FP64", "stops": "INT64", "origin": "BYTES", "holiday": "BOOL"}
        assert {spec.name: spec.datatype for spec in signature.inputs} == kinds
        categories = {spec.name: set(spec.categories) for spec in signature.inputs}
        assert categories["origin"] == {"Zürich", "北京", "JFK"}

    def test_inputs_that_were_missing_in_the_table_may_be_missing_in_a_request(self, adapter: Any, into: Path) -> None:
        search(adapter, BINARY, into)
        assert not any(spec.required for spec in Signature.read(into).inputs)

    def test_a_score_is_taken_on_rows_that_the_candidate_was_not_fitted_on(self, adapter: Any, into: Path) -> None:
        source = random.Random(1)
        coin = pl.Series("late", [source.random() < 0.5 for _ in range(ROWS)])
        best = search(adapter, BINARY.with_columns(coin), into).candidates[0]
        assert best.score is not None
        assert best.score < 0.8

    @pytest.mark.parametrize("problem", list(Problem))
    def test_a_candidate_is_fitted_and_written_whatever_the_budget(
        self, adapter: Any, into: Path, problem: Problem
    ) -> None:
        leaderboard = search_both(adapter, problem, into, budget_s=0.0)
        assert leaderboard.candidates[0].score is not None
        assert (into / Signature.read(into).file).exists()

    def test_each_candidate_is_heard_of_once(self, adapter: Any, into: Path) -> None:
        heard: list[Candidate] = []
        leaderboard = search(adapter, BINARY, into, on_candidate=heard.append)
        assert sorted((c.name, str(c.params), str(c.score)) for c in heard) == sorted(
            (c.name, str(c.params), str(c.score)) for c in leaderboard.candidates
        )

    def test_any_table_that_exports_an_arrow_stream_is_taken(self, adapter: Any, into: Path) -> None:
        leaderboard = search(adapter, ArrowOnly(BINARY), into, budget_s=0.0)
        assert leaderboard.candidates[0].score is not None

    @pytest.mark.parametrize("fault", UNFIT)
    def test_a_table_that_cannot_be_learned_from_is_refused_and_nothing_is_written(
        self, adapter: Any, into: Path, fault: str
    ) -> None:
        with pytest.raises(InvalidTable):
            search(adapter, UNFIT[fault], into)
        assert not into.exists()

    def test_a_number_with_nulls_is_refused_as_a_target(self, adapter: Any, into: Path) -> None:
        table = REGRESSION.with_columns(delay=pl.when(pl.col("stops") < 2).then("delay"))
        with pytest.raises(InvalidTable):
            search(adapter, table, into, target="delay", problem=Problem.REGRESSION)

    def test_an_existing_package_is_a_conflict_and_stays_as_it_was(self, adapter: Any, into: Path) -> None:
        into.mkdir()
        (into / "mine").write_text("kept")
        with pytest.raises(Conflict):
            search(adapter, BINARY, into)
        assert [path.name for path in into.iterdir()] == ["mine"]

    @pytest.mark.slow
    @pytest.mark.parametrize("problem", list(Problem))
    def test_a_larger_table_is_learned_better_than_by_chance(self, adapter: Any, into: Path, problem: Problem) -> None:
        target = "late" if problem is Problem.BINARY else "delay"
        table = flights(60_000).drop("delay" if problem is Problem.BINARY else "late")
        leaderboard = search(adapter, table, into, problem=problem, target=target, budget_s=10.0)
        best, worst = (c.score for c in (leaderboard.candidates[0], leaderboard.candidates[-1]))
        assert best is not None
        assert best > (0.9 if problem is Problem.BINARY else -6.0)
        assert worst is None or worst < best
