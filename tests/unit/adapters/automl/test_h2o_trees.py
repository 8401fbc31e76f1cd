"""Trees as H2O's API tells them, in the form of ONNX; the API's answers are made by hand here."""

import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from stackproof.adapters.automl.h2o_automl_frames import Loaded
from stackproof.adapters.automl.h2o_automl_onnx import IR_VERSION, OPSETS, _tree_lists
from stackproof.adapters.automl.h2o_automl_trees import Ensemble

LOADED = Loaded(
    key="table",
    target="late",
    labels=("wind", "origin"),
    categories=((), ("JFK", "Zürich", "北京")),
    codes=((), (2, 0, 1)),
    means=(0.0, 0.0),
)
"""H2O's own order of the categories here is 北京, JFK, Zürich."""
NAN = math.nan


def leaf_only(value: float) -> dict[str, Any]:
    return tree([-1], [-1], [None], ["NaN"], [None], [None], [value])


def tree(
    left: Any, right: Any, features: Any, thresholds: Any, nas: Any, levels: Any, predictions: Any
) -> dict[str, Any]:
    return {
        "left_children": left,
        "right_children": right,
        "features": features,
        "thresholds": thresholds,
        "nas": nas,
        "levels": levels,
        "predictions": predictions,
    }


def split(feature: str, threshold: float | str, nas: str | None, left: Any = None, right: Any = None) -> dict[str, Any]:
    """One split into a left leaf of 1 and a right leaf of 2."""
    return tree(
        [1, -1, -1],
        [2, -1, -1],
        [feature, None, None],
        [threshold, "NaN", "NaN"],
        [nas, None, None],
        [None, left, right],
        [0.0, 1.0, 2.0],
    )


def predicted(trees: list[dict[str, Any]], rows: list[list[float]]) -> list[float]:
    ensemble = Ensemble()
    for one in trees:
        ensemble.add(one, LOADED)
    node = helper.make_node("TreeEnsemble", ["input"], ["sum"], domain="ai.onnx.ml", **_tree_lists(ensemble, 1.0))
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    content = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": np.array(rows, np.float32)})[0]
    return [float(value) for value in found[:, 0]]


@pytest.mark.parametrize(("nas", "of_missing"), [("LEFT", 1.0), ("RIGHT", 2.0)])
def test_a_number_below_the_threshold_goes_left_and_a_missing_one_where_h2o_says(nas: str, of_missing: float) -> None:
    found = predicted([split("wind", 2.5, nas)], [[2.4, 0], [2.5, 0], [NAN, 0]])
    assert found == [1.0, 2.0, of_missing]


@pytest.mark.parametrize(("nas", "of_missing"), [("LEFT", 1.0), ("RIGHT", 2.0)])
def test_a_group_of_categories_goes_left_by_our_codes(nas: str, of_missing: float) -> None:
    found = predicted([split("origin", "NaN", nas, [0, 2], [1])], [[0, 0], [0, 1], [0, 2], [0, NAN]])
    assert found == [2.0, 1.0, 1.0, of_missing]


@pytest.mark.parametrize(("nas", "found"), [("LEFT", [2.0, 2.0, 1.0]), ("RIGHT", [1.0, 1.0, 2.0])])
@pytest.mark.parametrize("feature", ["wind", "origin"])
def test_a_split_of_missing_values_alone_parts_them_from_all_others(feature: str, nas: str, found: list[float]) -> None:
    rows = [[value, value] for value in (0.0, 2.0, NAN)]
    assert predicted([split(feature, "NaN", nas)], rows) == found


def test_categories_below_a_threshold_are_those_of_h2os_order() -> None:
    assert predicted([split("origin", 1.5, "RIGHT")], [[0, 0], [0, 1], [0, 2]]) == [1.0, 2.0, 1.0]


def test_trees_are_summed_and_one_may_be_a_single_leaf() -> None:
    deeper = tree(
        [1, 3, -1, -1, -1],
        [2, 4, -1, -1, -1],
        ["wind", "origin", None, None, None],
        [5.0, "NaN", "NaN", "NaN", "NaN"],
        ["RIGHT", "LEFT", None, None, None],
        [None, None, None, [1], [0, 2]],
        [0.0, 0.0, 30.0, 10.0, 20.0],
    )
    rows = [[0, 0], [0, 1], [0, NAN], [9, 0], [NAN, 0]]
    assert predicted([leaf_only(0.5), deeper, leaf_only(0.25)], rows) == [10.75, 20.75, 10.75, 30.75, 30.75]
