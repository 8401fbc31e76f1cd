"""The model that is served in a proof: boosted trees in ONNX, and what they give, worked out without any runtime."""

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from stackproof.roles.serving import Signature, TensorSpec

COLUMNS, TREES, DEPTH = 20, 100, 4
INNER = 2**DEPTH - 1
LEAVES = 2**DEPTH


class BoostedTrees:
    """`TREES` complete binary trees of depth `DEPTH` over `COLUMNS` floats; a sigmoid of their sum is the probability.

    Node n has the children 2n + 1 (taken when the feature <= the threshold) and 2n + 2. All numbers fit a 32-bit float.
    """

    def __init__(self, seed: int = 4) -> None:
        draw = np.random.default_rng(seed)
        self.features = draw.integers(0, COLUMNS, (TREES, INNER))
        self.thresholds = draw.normal(size=(TREES, INNER)).astype(np.float32)
        self.leaves = draw.normal(0, 0.1, (TREES, LEAVES)).astype(np.float32)

    def predict(self, rows: Sequence[Sequence[float | None]]) -> list[float]:
        """Equal to what ONNX gives to about 1e-6: it adds in 32 bits, this in 64."""
        return [1 / (1 + exp(-sum(self._leaf(tree, row) for tree in range(TREES)))) for row in rows]

    def _leaf(self, tree: int, row: Sequence[float | None]) -> float:
        node = 0
        while node < INNER:
            value = row[self.features[tree, node]]
            left = value is not None and np.float32(value) <= self.thresholds[tree, node]
            node = 2 * node + (1 if left else 2)
        return float(self.leaves[tree, node - INNER])

    def write(self, package: Path) -> Path:
        """As a model package."""
        import onnx
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            [
                helper.make_node("TreeEnsembleRegressor", ["columns"], ["score"], domain="ai.onnx.ml", **self._nodes()),
                helper.make_node("Sigmoid", ["score"], ["probability"]),
            ],
            "boosted_trees",
            [helper.make_tensor_value_info("columns", TensorProto.FLOAT, [None, COLUMNS])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        package.mkdir(parents=True)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), package / "model.onnx")
        inputs = tuple(TensorSpec(f"f{n}", "FP64") for n in range(COLUMNS))
        Signature("onnx", "model.onnx", inputs, (TensorSpec("probability", "FP64"),)).write(package)
        return package

    def _nodes(self) -> dict[str, Any]:
        """The attributes of ONNX's TreeEnsembleRegressor: one entry for each node of each tree, in order."""
        places = [(tree, node) for tree in range(TREES) for node in range(INNER + LEAVES)]
        inner = [(tree, node) for tree, node in places if node < INNER]
        leaves = [(tree, node) for tree, node in places if node >= INNER]
        is_inner = [node < INNER for _, node in places]
        return {
            "nodes_treeids": [tree for tree, _ in places],
            "nodes_nodeids": [node for _, node in places],
            "nodes_modes": ["BRANCH_LEQ" if yes else "LEAF" for yes in is_inner],
            "nodes_featureids": [int(self.features[t, n]) if n < INNER else 0 for t, n in places],
            "nodes_values": [float(self.thresholds[t, n]) if n < INNER else 0.0 for t, n in places],
            "nodes_truenodeids": [2 * n + 1 if n < INNER else 0 for _, n in places],
            "nodes_falsenodeids": [2 * n + 2 if n < INNER else 0 for _, n in places],
            "nodes_missing_value_tracks_true": [0] * (len(inner) + len(leaves)),
            "nodes_hitrates": [1.0] * len(places),
            "target_treeids": [tree for tree, _ in leaves],
            "target_nodeids": [node for _, node in leaves],
            "target_ids": [0] * len(leaves),
            "target_weights": [float(self.leaves[t, n - INNER]) for t, n in leaves],
            "n_targets": 1,
            "aggregate_function": "SUM",
            "post_transform": "NONE",
        }
