"""A fitted model of scikit-learn as ONNX."""

from typing import Any

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from stackproof.adapters.automl.boosted_trees import boosting_to_onnx
from stackproof.adapters.automl.columns import Floats
from stackproof.adapters.automl.onnx_forms import NotConvertible, check_form
from stackproof.adapters.automl.recipes import predictions
from stackproof.roles.automl import Problem


def to_onnx(problem: Problem, model: Any, sample: Floats) -> bytes:
    """An ONNX graph that takes one 32-bit float tensor "input" [rows, features].

    Its last output is "probability" [rows, 1], "probabilities" [rows, 2] or "prediction" [rows, 1].
    Its predictions on the rows of `sample` differ from the model's by at most 1e-4 (for a regression, times the largest
    prediction); otherwise, and for a model without a conversion, raises `NotConvertible`.
    """
    content = _convert(problem, model, sample.shape[1])
    check_form(content, problem, sample, predictions(problem, model, sample))
    return content


def _convert(problem: Problem, model: Any, features: int) -> bytes:
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return boosting_to_onnx(problem, model, features)
    outputs = [("label", Int64TensorType([None])), ("probabilities", FloatTensorType([None, 2]))]
    if problem is Problem.REGRESSION:
        outputs = [("prediction", FloatTensorType([None, 1]))]
    try:
        graph = convert_sklearn(
            model,
            initial_types=[("input", FloatTensorType([None, features]))],
            final_types=outputs,
            options={id(model): {"zipmap": False}} if problem is Problem.BINARY else None,
        )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as refused:
        raise NotConvertible(f"it has no ONNX form: {str(refused).splitlines()[0][:200]}") from refused
    content: bytes = graph.SerializeToString()
    return content
