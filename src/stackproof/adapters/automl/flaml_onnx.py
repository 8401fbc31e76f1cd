"""Models that FLAML fitted as ONNX: the trees of LightGBM, XGBoost and scikit-learn's forests."""

import json
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from stackproof.adapters.automl.boosted_trees import boosting_to_onnx
from stackproof.adapters.automl.columns import Floats
from stackproof.errors import NotCapable
from stackproof.roles.automl import Problem

SAMPLE_ROWS = 2_000
SHARE_OF_HOLES = 0.2
TOLERANCE = 1e-4

CATEGORICAL, DEFAULT_LEFT, MISSING_IS_NAN = 1, 2, 2 << 2
"""Bits of a split's decision_type in LightGBM's own text form."""


class Trees:
    """Trees whose leaves add up to a prediction, in the form in which `boosting_to_onnx` reads scikit-learn's boosting:
    a row whose feature is at most the threshold goes left.
    """

    def __init__(self, base: float, trees: list[Any]) -> None:
        self._baseline_prediction = base
        self._predictors = [(SimpleNamespace(nodes=nodes),) for nodes in trees]


def to_onnx(model: Any, problem: Problem, matrix: Floats) -> bytes:
    """`model`: a fitted estimator of LightGBM, XGBoost or scikit-learn, as `AutoML.model.estimator` gives it.

    The graph takes one 32-bit float tensor "input" [rows, features] and gives "probability" or "prediction" [rows, 1].
    Its predictions on the first 2,000 rows, as they are and with a fifth of their values missing, differ from the
    model's by at most 1e-4 (for a regression, times the largest prediction); otherwise raises `NotCapable`.
    """
    features = matrix.shape[1]
    if hasattr(model, "booster_"):
        content = boosting_to_onnx(problem, _lightgbm(model), features)
    elif hasattr(model, "get_booster"):
        content = boosting_to_onnx(problem, _xgboost(model, problem), features)
    else:
        content = _with_output(boosting_to_onnx(Problem.REGRESSION, _forest(model, problem), features), problem)
    _compare(content, model, problem, matrix[:SAMPLE_ROWS])
    return content


def _nodes(left: Any, **columns: Any) -> Any:
    """One tree; a leaf has -1 for its `left`."""
    numpy = import_module("numpy")
    columns = {"is_leaf": left == -1, "left": left, **columns}
    types = [(name, numpy.asarray(values).dtype) for name, values in columns.items()]
    nodes = numpy.empty(len(left), dtype=types)
    for name, values in columns.items():
        nodes[name] = values
    return nodes


def _forest(model: Any, problem: Problem) -> Trees:
    """The mean of its trees; of two classes, that of the second one's share."""
    target = 1 if problem is Problem.BINARY else 0
    return Trees(0.0, [
        _nodes(
            tree.children_left,
            right=tree.children_right,
            feature_idx=tree.feature,
            num_threshold=tree.threshold,
            missing_go_to_left=tree.missing_go_to_left,
            value=tree.value[:, 0, target] / len(model.estimators_),
        )
        for tree in (fitted.tree_ for fitted in model.estimators_)
    ])  # fmt: skip


def _xgboost(model: Any, problem: Problem) -> Trees:
    """It goes left below a threshold: at most at the 32-bit float before it. Of a leaf, the threshold is its value."""
    numpy = import_module("numpy")
    learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    if problem is Problem.BINARY:
        base = float(numpy.log(base / (1 - base)))
    trees = []
    for tree in learner["gradient_booster"]["model"]["trees"]:
        conditions = numpy.array(tree["split_conditions"], numpy.float32)
        trees.append(
            _nodes(
                numpy.array(tree["left_children"]),
                right=numpy.array(tree["right_children"]),
                feature_idx=numpy.array(tree["split_indices"]),
                num_threshold=numpy.nextafter(conditions, numpy.float32(-numpy.inf)).astype(numpy.float64),
                missing_go_to_left=numpy.array(tree["default_left"], bool),
                value=conditions,
            )
        )
    return Trees(base, trees)


def _lightgbm(model: Any) -> Trees:
    trees = list(_lightgbm_trees(model.booster_.model_to_string()))
    return Trees(0.0, trees)


def _lightgbm_trees(text: str) -> Iterator[Any]:
    """Its splits first, then its leaves, which it counts as -1, -2 and so on. A feature without missing values when
    it was fitted has a zero for those that come later.
    """
    numpy = import_module("numpy")
    for part in text.partition("end of trees")[0].split("\nTree=")[1:]:
        told = dict(line.partition("=")[::2] for line in part.splitlines())
        leaves = numpy.array(told["leaf_value"].split(), numpy.float64)
        splits = len(leaves) - 1
        rows = [told[name].split()[:splits] for name in ("left_child", "right_child", "split_feature", "decision_type")]
        left, right, features, kinds = (numpy.array(row, numpy.int64) for row in rows)
        thresholds = numpy.array(told["threshold"].split()[:splits], numpy.float64)
        if (kinds & CATEGORICAL).any():
            raise NotCapable("A model of LightGBM splits by categories", got="decision_type 1")
        missing = numpy.where(kinds & MISSING_IS_NAN, kinds & DEFAULT_LEFT, thresholds >= 0)
        empty = numpy.zeros(len(leaves))
        yield _nodes(
            numpy.concatenate([numpy.where(left < 0, splits + ~left, left), numpy.full(len(leaves), -1)]),
            right=numpy.concatenate([numpy.where(right < 0, splits + ~right, right), numpy.full(len(leaves), -1)]),
            feature_idx=numpy.concatenate([features, empty.astype(numpy.int64)]),
            num_threshold=numpy.concatenate([thresholds, empty]),
            missing_go_to_left=numpy.concatenate([missing, empty]).astype(bool),
            value=numpy.concatenate([numpy.zeros(splits), leaves]),
        )


def _with_output(content: bytes, problem: Problem) -> bytes:
    """The sum as it is, without the link of a boosting; named as what it is."""
    graph = import_module("onnx").ModelProto.FromString(content)
    name = "probability" if problem is Problem.BINARY else "prediction"
    graph.graph.node[-1].output[0] = graph.graph.output[0].name = name
    written: bytes = graph.SerializeToString()
    return written


def _compare(content: bytes, model: Any, problem: Problem, sample: Floats) -> None:
    numpy, runtime = import_module("numpy"), import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    holes = numpy.random.default_rng(0).random(sample.shape) < SHARE_OF_HOLES
    rows = numpy.vstack([sample, numpy.where(holes, numpy.nan, sample)])
    answer = numpy.asarray(session.run(None, {"input": rows.astype(numpy.float32)})[0])[:, 0]
    expected = model.predict_proba(rows)[:, 1] if problem is Problem.BINARY else model.predict(rows)
    scale = 1.0 if problem is Problem.BINARY else float(numpy.abs(expected).max())
    apart = float(numpy.abs(answer - expected).max())
    if not apart <= TOLERANCE * scale:
        raise NotCapable("The best model of FLAML has no ONNX form that predicts the same", got=f"{apart:.3g} off")
