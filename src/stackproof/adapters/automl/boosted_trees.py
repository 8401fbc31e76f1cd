"""A histogram gradient boosting of scikit-learn as an ONNX graph: its trees, then its link.

skl2onnx 1.20 cannot write these: it gives booleans where protobuf 7 takes integers only, and rounds a
threshold to the nearest 32-bit float, which may lie on the other side of a value.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from stackproof.roles.automl import Problem

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def boosting_to_onnx(problem: Problem, model: Any, features: int) -> bytes:
    """Takes "input" [rows, features]; gives "probability" or "prediction" [rows, 1], all 32-bit floats."""
    output = "probability" if problem is Problem.BINARY else "prediction"
    attributes: Any = _attributes(model)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["input"],
        ["raw"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=np.ravel(model._baseline_prediction).tolist(),
        **attributes,
    )
    link = helper.make_node("Sigmoid" if problem is Problem.BINARY else "Identity", ["raw"], [output])
    graph = helper.make_graph(
        [trees, link],
        "boosting",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, 1])],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    written = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    content: bytes = written.SerializeToString()
    return content


def _attributes(model: Any) -> dict[str, list[Any]]:
    """The node lists of all trees, one after the other."""
    together: dict[str, list[Any]] = {}
    for number, (tree,) in enumerate(model._predictors):
        for name, values in _tree(number, tree.nodes):
            together.setdefault(name, []).extend(np.asarray(values).tolist())
    return together


def _tree(number: int, nodes: Any) -> Iterator[tuple[str, Any]]:
    leaf = nodes["is_leaf"].astype(bool)
    leaves = np.flatnonzero(leaf)
    yield "nodes_treeids", np.full(len(nodes), number)
    yield "nodes_nodeids", np.arange(len(nodes))
    yield "nodes_modes", np.where(leaf, "LEAF", "BRANCH_LEQ")
    yield "nodes_values", np.where(leaf, 0.0, _as_float32_below(nodes["num_threshold"]))
    yield "nodes_featureids", np.where(leaf, 0, nodes["feature_idx"])
    yield "nodes_truenodeids", np.where(leaf, 0, nodes["left"])
    yield "nodes_falsenodeids", np.where(leaf, 0, nodes["right"])
    yield "nodes_missing_value_tracks_true", np.where(leaf, 0, nodes["missing_go_to_left"])
    yield "target_treeids", np.full(len(leaves), number)
    yield "target_nodeids", leaves
    yield "target_ids", np.zeros(len(leaves), dtype=np.int64)
    yield "target_weights", nodes["value"][leaf]


def _as_float32_below(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest 32-bit floats not above: x <= threshold holds for the same 32-bit x."""
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)
