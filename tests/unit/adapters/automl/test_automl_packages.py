import resource
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from stackproof.adapters.automl.package_folder import refuse_existing, write_package
from stackproof.adapters.automl.packages import NotConvertible, to_onnx
from stackproof.adapters.automl.recipes import RECIPES, Recipe, Task, fit, predictions
from stackproof.errors import Conflict, StorageFailed
from stackproof.roles.automl import Problem
from stackproof.roles.serving import Signature, TensorSpec

FEATURES = (
    TensorSpec("large", "FP64"),
    TensorSpec("few", "BYTES", categories=("a", "b", "c")),
    TensorSpec("many", "BYTES", categories=tuple(f"v{n:03}" for n in range(300))),
    TensorSpec("flag", "BOOL"),
    TensorSpec("empty", "FP64"),
)


def rows(count: int, seed: int) -> np.ndarray:
    source = np.random.default_rng(seed)
    matrix = np.column_stack(
        [
            source.normal(1e6, 1e3, count),
            source.integers(0, 3, count),
            source.integers(0, 300, count),
            source.integers(0, 2, count),
            source.normal(size=count),
        ]
    )
    matrix[source.random(matrix.shape) < 0.1] = np.nan
    return matrix.astype(np.float32).astype(np.float64)


def target(matrix: np.ndarray, problem: Problem) -> np.ndarray:
    plain = np.nan_to_num(matrix)
    value = (plain[:, 0] - 1e6) / 1e3 + 2 * (plain[:, 1] == 1) + (plain[:, 2] > 150)
    return (value > 0.5).astype(float) if problem is Problem.BINARY else 1e5 + 100 * value


def fitted(recipe: Recipe, problem: Problem) -> object:
    matrix = rows(800, seed=1)
    matrix[:, 4] = np.nan
    task = Task(problem, FEATURES, seed=3, threads=1)
    return fit(recipe, task, recipe.default, matrix, target(matrix, problem))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("problem", list(Problem))
def test_every_recipe_converts_and_predicts_the_same_on_rows_it_never_saw(recipe: Recipe, problem: Problem) -> None:
    model = fitted(recipe, problem)
    sample = rows(3_000, seed=2)
    session = onnxruntime.InferenceSession(to_onnx(problem, model, sample), providers=["CPUExecutionProvider"])
    (graph_input,) = session.get_inputs()
    assert (graph_input.name, graph_input.type, graph_input.shape[1]) == ("input", "tensor(float)", 5)
    answer = session.run(None, {"input": sample.astype(np.float32)})[-1][:, -1]
    expected = predictions(problem, model, sample)
    scale = 1.0 if problem is Problem.BINARY else np.abs(expected).max()
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4 * scale)
    assert len(session.run(None, {"input": sample[:1].astype(np.float32)})[-1]) == 1


def test_a_threshold_between_two_neighbouring_floats_decides_the_same_way() -> None:
    boosting = next(recipe for recipe in RECIPES if recipe.name == "gradient boosting")
    low = np.float32(1.0)
    high = np.nextafter(low, np.float32(2.0))
    matrix = np.array([[float(low)], [float(high)]] * 200)
    features = (TensorSpec("x", "FP64"),)
    task = Task(Problem.REGRESSION, features, seed=1, threads=1)
    model = fit(boosting, task, boosting.default, matrix, matrix[:, 0] > 1.0)
    assert to_onnx(Problem.REGRESSION, model, matrix)


class Homemade:
    """A model that no converter knows."""

    def __init__(self, model: object) -> None:
        self.model = model


def test_a_model_whose_graph_predicts_otherwise_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = next(recipe for recipe in RECIPES if recipe.name == "extra trees")
    model = fitted(forest, Problem.BINARY)
    off = "stackproof.adapters.automl.packages.predictions"
    monkeypatch.setattr(off, lambda problem, model, matrix: predictions(problem, model, matrix) + 0.001)
    with pytest.raises(NotConvertible, match=r"up to 0\.001 off"):
        to_onnx(Problem.BINARY, model, rows(100, seed=2))


def test_a_model_without_a_conversion_says_so_in_one_line() -> None:
    with pytest.raises(NotConvertible, match="it has no ONNX form") as refused:
        to_onnx(Problem.BINARY, Homemade(None), rows(10, seed=2))
    assert "\n" not in str(refused.value)


def test_a_package_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    into = tmp_path / "deep" / "package"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(StorageFailed, match="could not be written"):
            write_package(into, Problem.BINARY, b"m" * 2_000, FEATURES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(into.parent.iterdir()) == []
    write_package(into, Problem.BINARY, b"m" * 2_000, FEATURES)
    assert (into / "model.onnx").read_bytes() == b"m" * 2_000
    assert Signature.read(into) == Signature("onnx", "model.onnx", FEATURES, (TensorSpec("probability", "FP64"),))


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Conflict):
        refuse_existing(tmp_path / "link")
