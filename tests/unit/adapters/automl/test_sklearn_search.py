from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from stackproof.adapters.automl import embedded
from stackproof.adapters.automl.embedded import SklearnSearch
from stackproof.adapters.automl.packages import NotConvertible
from stackproof.errors import NotCapable, RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.automl import Candidate, Leaderboard, Problem
from stackproof.roles.serving import Signature
from stackproof.testing.automl import BINARY, search


def find(into: Path, table: pl.DataFrame = BINARY, **changes: Any) -> Leaderboard:
    options = changes.pop("options", {})
    return search(SklearnSearch(Setting(home=into.parent, options=options)), table, into, **changes)


def test_the_package_ranks_rows_as_a_server_would_feed_them(tmp_path: Path) -> None:
    find(tmp_path / "package")
    signature = Signature.read(tmp_path / "package")
    columns = []
    for spec in signature.inputs:
        codes = {value: code for code, value in enumerate(spec.categories)}
        values = [codes.get(value, value) if spec.categories else value for value in BINARY[spec.name]]
        columns.append([np.nan if value is None else float(value) for value in values])
    content = (tmp_path / "package" / signature.file).read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    answer = session.run(None, {"input": np.transpose(columns).astype(np.float32)})[-1][:, -1]
    late = BINARY["late"].to_numpy()
    assert answer[late].mean() > 2 * answer[~late].mean()


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    find(tmp_path / "package")
    assert capfd.readouterr() == ("", "")


def test_a_model_without_skill_is_on_the_board(tmp_path: Path) -> None:
    scores = {c.name: c.score for c in find(tmp_path / "package", budget_s=0.0).candidates}
    assert scores["constant"] == 0.5
    assert scores["linear"] is not None
    assert scores["linear"] > 0.8


def test_where_nothing_can_be_learned_the_constant_is_best_and_is_served(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [1.0] * 40, "y": [float(number % 2) for number in range(40)]})
    board = find(tmp_path / "package", table, target="y", problem=Problem.REGRESSION, budget_s=0.2)
    assert board.candidates[0].name == "constant"
    assert (tmp_path / "package" / "model.onnx").exists()


@pytest.mark.parametrize("truths", [[True, True, False, False], [True] * 2 + [False] * 300])
def test_the_smallest_and_the_rarest_classes_are_fitted_and_scored(tmp_path: Path, truths: list[bool]) -> None:
    table = pl.DataFrame({"x": range(len(truths)), "late": truths})
    assert find(tmp_path / "package", table).candidates[0].score is not None


def test_two_rows_suffice_for_a_number(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [1, 2], "y": [1.0, 2.0]})
    board = find(tmp_path / "package", table, target="y", problem=Problem.REGRESSION)
    assert board.candidates[0].score is not None


def test_huge_numbers_are_no_reason_to_warn_or_fail(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [10.0**n for n in range(-30, 38)], "y": [(-10.0) ** n for n in range(-30, 38)]})
    board = find(tmp_path / "package", table, target="y", problem=Problem.REGRESSION)
    assert board.candidates


def test_a_column_without_values_among_the_fitted_rows_does_no_harm(tmp_path: Path) -> None:
    sparse = pl.Series("sparse", [1.0] + [None] * (len(BINARY) - 1))
    board = find(tmp_path / "package", BINARY.with_columns(sparse), budget_s=1.5)
    assert all(c.score is not None for c in board.candidates if "not tried" not in c.note)


def test_columns_left_out_are_named_on_every_candidate(tmp_path: Path) -> None:
    table = BINARY.with_columns(at=pl.lit(datetime(2013, 1, 1, tzinfo=UTC)))
    heard: list[Candidate] = []
    board = find(tmp_path / "package", table, budget_s=0.0, on_candidate=heard.append)
    assert all("columns left out: at (its type is Datetime" in c.note for c in (*heard, *board.candidates))


def test_the_same_seed_gives_the_same_scores(tmp_path: Path) -> None:
    boards = [find(tmp_path / name, budget_s=0.0, seed=-5) for name in "ab"]
    first, second = ([(c.name, c.score) for c in board.candidates] for board in boards)
    assert first == second


def test_the_next_best_is_written_when_the_best_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = embedded.to_onnx
    converted: list[object] = []

    def second_only(problem: Problem, model: object, sample: Any) -> bytes:
        converted.append(model)
        if len(converted) == 1:
            raise NotConvertible("it has no ONNX form: unheard of")
        return convert(problem, model, sample)

    monkeypatch.setattr(embedded, "to_onnx", second_only)
    board = find(tmp_path / "package")
    assert board.candidates[0].note == "not served: it has no ONNX form: unheard of"
    assert (tmp_path / "package" / "model.onnx").exists()


def test_nothing_is_written_when_no_model_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(problem: Problem, model: object, sample: Any) -> bytes:
        raise NotConvertible("unheard of")

    monkeypatch.setattr(embedded, "to_onnx", never)
    with pytest.raises(NotCapable, match="unheard of"):
        find(tmp_path / "package", budget_s=0.0)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(candidate: Candidate) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(tmp_path / "package", on_candidate=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_most_candidates_option_ends_a_long_budget(tmp_path: Path) -> None:
    board = find(tmp_path / "package", budget_s=3600.0, options={"most_candidates": 6})
    assert len(board.candidates) == 6


@pytest.mark.parametrize("budget_s", [-1.0, float("nan")])
def test_a_budget_that_is_no_time_is_refused(tmp_path: Path, budget_s: float) -> None:
    with pytest.raises(RefusedInput, match="no time"):
        find(tmp_path / "package", budget_s=budget_s)


@pytest.mark.parametrize("option", ["threads", "most_candidates"])
def test_an_option_below_one_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(RefusedInput, match=option):
        find(tmp_path / "package", options={option: 0})
