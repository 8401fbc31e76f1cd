"""Models that FLAML fitted as ONNX: the trees of LightGBM, XGBoost and scikit-learn's forests."""

import json
import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from stackproof.adapters.automl.boosted_trees import Link, trees_to_onnx
from stackproof.adapters.automl.columns import Floats
from stackproof.adapters.automl.onnx_forms import SAMPLE_ROWS, NotConvertible, check_form
from stackproof.roles.automl import Problem

SHARE_OF_HOLES = 0.2

CATEGORICAL, DEFAULT_LEFT, MISSING_IS_NAN = 1, 2, 2 << 2
"""Bits of a split's decision_type in LightGBM's own text form."""


def to_onnx(model: Any, problem: Problem, matrix: Floats) -> bytes:
    """`model`: a fitted estimator of LightGBM, XGBoost or scikit-learn, as `AutoML.model.estimator` gives it.

    The graph takes one 32-bit float tensor "input" [rows, features] and gives "probability" or "prediction" [rows, 1].
    Its predictions on the first 2,000 rows, as they are and with a fifth of their values missing, differ from the
    model's by at most 1e-4 (for a regression, times the largest prediction); otherwise raises `NotConvertible`.
    """
    boosts: Link = "Sigmoid" if problem is Problem.BINARY else "Identity"
    if hasattr(model, "booster_"):
        trees, base, link = _lightgbm(model.booster_.model_to_string()), 0.0, boosts
    elif hasattr(model, "get_booster"):
        learner = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
        trees, base, link = _xgboost(learner), _xgboost_base(learner, problem), boosts
    else:
        trees, base, link = _forest(model, problem), 0.0, "Identity"
    content = trees_to_onnx(problem, trees, matrix.shape[1], base=base, link=link)
    rows = _with_holes(matrix[:SAMPLE_ROWS])
    expected = model.predict_proba(rows)[:, 1] if problem is Problem.BINARY else model.predict(rows)
    check_form(content, problem, rows, expected)
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


def _forest(model: Any, problem: Problem) -> Iterator[Any]:
    """Their mean; of two classes, that of the second one's share."""
    target = 1 if problem is Problem.BINARY else 0
    for fitted in model.estimators_:
        tree = fitted.tree_
        yield _nodes(
            tree.children_left,
            right=tree.children_right,
            feature_idx=tree.feature,
            num_threshold=tree.threshold,
            missing_go_to_left=tree.missing_go_to_left,
            value=tree.value[:, 0, target] / len(model.estimators_),
        )


def _xgboost_base(learner: Mapping[str, Any], problem: Problem) -> float:
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    return math.log(base / (1 - base)) if problem is Problem.BINARY else base


def _xgboost(learner: Mapping[str, Any]) -> Iterator[Any]:
    """It goes left below a threshold: at most at the 32-bit float before it. Of a leaf, the threshold is its value."""
    numpy = import_module("numpy")
    for tree in learner["gradient_booster"]["model"]["trees"]:
        conditions = numpy.array(tree["split_conditions"], numpy.float32)
        yield _nodes(
            numpy.array(tree["left_children"]),
            right=numpy.array(tree["right_children"]),
            feature_idx=numpy.array(tree["split_indices"]),
            num_threshold=numpy.nextafter(conditions, numpy.float32(-numpy.inf)).astype(numpy.float64),
            missing_go_to_left=numpy.array(tree["default_left"], bool),
            value=conditions,
        )


def _lightgbm(text: str) -> Iterator[Any]:
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
            raise NotConvertible("it splits by categories")
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


def _with_holes(sample: Floats) -> Floats:
    """The rows as they are, and again with a fifth of their values missing."""
    numpy = import_module("numpy")
    holes = numpy.random.default_rng(0).random(sample.shape) < SHARE_OF_HOLES
    rows: Floats = numpy.vstack([sample, numpy.where(holes, numpy.nan, sample)])
    return rows
