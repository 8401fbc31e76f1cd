"""Models of H2O as ONNX: its trees and its linear models, compared with H2O's own predictions."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stackproof.adapters.automl.columns import Floats
from stackproof.adapters.automl.h2o_automl_frames import Loaded
from stackproof.adapters.automl.h2o_automl_linear import linear
from stackproof.adapters.automl.h2o_automl_trees import Ensemble, trees_of
from stackproof.adapters.automl.onnx_forms import SAMPLE_ROWS, NotConvertible, check_form, output_of
from stackproof.roles.automl import Problem

OPSETS = {"": 17, "ai.onnx.ml": 5}
IR_VERSION = 10


def to_onnx(told: Mapping[str, Any], problem: Problem, loaded: Loaded, matrix: Floats) -> bytes:
    """`told`: the model as H2O's API answers at /3/Models.

    The graph takes one 32-bit float tensor "input" [rows, features] and gives "probability" or "prediction" [rows, 1].
    Its predictions on the first 2,000 rows differ from H2O's by at most 1e-4 (for a regression, times the largest
    prediction); otherwise raises `NotConvertible`.
    """
    try:
        nodes, constants = linear(told, problem, loaded) if told["algo"] == "glm" else _trees(told, problem, loaded)
    except LookupError as unknown:
        raise NotConvertible(f"its parts can't be read: {unknown}") from unknown
    content = _graph(nodes, constants, problem, len(loaded.labels))
    sample = matrix[:SAMPLE_ROWS]
    check_form(content, problem, sample, _predicted(told["model_id"]["name"], problem, loaded, len(sample)))
    return content


def _trees(told: Mapping[str, Any], problem: Problem, loaded: Loaded) -> tuple[list[Any], list[Any]]:
    numpy, helper = import_module("numpy"), import_module("onnx.helper")
    from_array = import_module("onnx.numpy_helper").from_array
    output, algorithm, is_binary = told["output"], told["algo"], problem is Problem.BINARY
    (summary,) = output["model_summary"].cell_values
    count = int(summary[output["model_summary"].col_header.index("number_of_trees")])
    ensemble = Ensemble()
    for tree in trees_of(told["model_id"]["name"], count):
        ensemble.add(tree, loaded)
    scale, base = 1.0, output["init_f"]
    if algorithm == "drf":  # of two classes, its trees tell the first
        scale, base = (-1.0 / count, 1.0) if is_binary else (1.0 / count, 0.0)
    link = "Sigmoid" if is_binary and algorithm == "gbm" else "Identity"
    return [
        helper.make_node("TreeEnsemble", ["input"], ["trees"], domain="ai.onnx.ml", **_tree_lists(ensemble, scale)),
        helper.make_node("Add", ["trees", "base"], ["raw"]),
        helper.make_node(link, ["raw"], ["output"]),
    ], [from_array(numpy.array([[base]], numpy.float32), "base")]


def _tree_lists(ensemble: Ensemble, scale: float) -> dict[str, Any]:
    numpy, from_array = import_module("numpy"), import_module("onnx.numpy_helper").from_array
    lists = {
        "n_targets": 1,
        "aggregate_function": 1,
        "post_transform": 0,
        "tree_roots": ensemble.roots,
        "nodes_featureids": ensemble.features,
        "nodes_modes": from_array(numpy.array(ensemble.modes, numpy.uint8)),
        "nodes_splits": from_array(numpy.array(ensemble.values, numpy.float32)),
        "nodes_truenodeids": ensemble.ways[0],
        "nodes_trueleafs": ensemble.is_leaf[0],
        "nodes_falsenodeids": ensemble.ways[1],
        "nodes_falseleafs": ensemble.is_leaf[1],
        "nodes_missing_value_tracks_true": ensemble.missing_first,
        "leaf_targetids": [0] * len(ensemble.leaves),
        "leaf_weights": from_array((numpy.array(ensemble.leaves) * scale).astype(numpy.float32)),
    }
    if ensemble.members:
        lists["membership_values"] = from_array(numpy.array(ensemble.members, numpy.float32))
    return lists


def _graph(nodes: list[Any], constants: list[Any], problem: Problem, features: int) -> bytes:
    helper = import_module("onnx.helper")
    name = output_of(problem)
    nodes[-1].output[0] = name
    graph = helper.make_graph(
        nodes,
        "h2o",
        [helper.make_tensor_value_info("input", 1, [None, features])],
        [helper.make_tensor_value_info(name, 1, [None, 1])],
        constants,
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    content: bytes = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION).SerializeToString()
    return content


def _predicted(model: str, problem: Problem, loaded: Loaded, rows: int) -> Any:
    """By H2O itself, for the first rows."""
    frame = import_module("h2o").get_model(model).predict(loaded.frame[:rows, :])
    column = frame["true" if problem is Problem.BINARY else "predict"]
    lines = column.as_data_frame(use_pandas=False, header=False)
    return import_module("numpy").array([float(line[0]) for line in lines])
