"""Trees as an ONNX graph: the sum of their leaves, then a link.

skl2onnx 1.20 cannot write those of a histogram gradient boosting: it gives booleans where protobuf 7 takes integers
only, and rounds a threshold to the nearest 32-bit float, which may lie on the other side of a value.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from stackproof.adapters.automl.onnx_forms import output_of
from stackproof.roles.automl import Problem

Link = Literal["Sigmoid", "Identity"]

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def boosting_to_onnx(problem: Problem, model: Any, features: int) -> bytes:
    """`model`: fitted by scikit-learn. Raises nothing of its own; the graph is that of `trees_to_onnx`."""
    base = float(np.ravel(model._baseline_prediction)[0])
    link: Link = "Sigmoid" if problem is Problem.BINARY else "Identity"
    return trees_to_onnx(problem, [tree.nodes for (tree,) in model._predictors], features, base=base, link=link)


def trees_to_onnx(
    problem: Problem, trees: Iterable[Any], features: int, *, base: float = 0.0, link: Link = "Identity"
) -> bytes:
    """Takes "input" [rows, features]; gives "probability" or "prediction" [rows, 1], all 32-bit floats.

    It is the link of `base` and the sum of each tree's leaf. A tree is an array of nodes with scikit-learn's fields:
    is_leaf, left, right, feature_idx, num_threshold (in 64 bits; up to it goes left), missing_go_to_left, value.
    """
    output = output_of(problem)
    attributes: Any = _attributes(trees)
    ensemble = helper.make_node(
        "TreeEnsembleRegressor", ["input"], ["raw"], domain="ai.onnx.ml", n_targets=1, base_values=[base], **attributes
    )
    graph = helper.make_graph(
        [ensemble, helper.make_node(link, ["raw"], [output])],
        "trees",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, 1])],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    written = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    content: bytes = written.SerializeToString()
    return content


def _attributes(trees: Iterable[Any]) -> dict[str, list[Any]]:
    """The node lists of all trees, one after the other."""
    together: dict[str, list[Any]] = {}
    for number, nodes in enumerate(trees):
        for name, values in _tree(number, nodes):
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
