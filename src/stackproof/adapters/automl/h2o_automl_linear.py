"""A linear model of H2O as ONNX. A missing value counts as the mean or the most frequent category, as H2O has it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stackproof.adapters.automl.h2o_automl_frames import Loaded
from stackproof.roles.automl import Problem

INTERCEPT = "Intercept"
FLOAT, INT64, DOUBLE = 1, 7, 11


def linear(told: Mapping[str, Any], problem: Problem, loaded: Loaded) -> tuple[list[Any], list[Any]]:
    """The nodes from "input" to "output", and the constants. Raises `LookupError` for a name that H2O made up."""
    numpy, node = import_module("numpy"), import_module("onnx.helper").make_node
    weights, of_categories, intercept = _coefficients(told, loaded)
    constants = {
        "means": numpy.array([loaded.means], numpy.float32),
        "weights": weights,
        "intercept": numpy.array([[intercept]]),
    }
    nodes = [
        node("IsNaN", ["input"], ["missing"]),
        node("Where", ["missing", "means", "input"], ["filled"]),
        node("Cast", ["filled"], ["exact"], to=DOUBLE),
        node("MatMul", ["exact", "weights"], ["numbers"]),
    ]
    for feature, values in of_categories.items():
        constants |= {f"place {feature}": numpy.array([feature]), f"values {feature}": values}
        nodes += [
            node("Gather", ["exact", f"place {feature}"], [f"code {feature}"], axis=1),
            node("Cast", [f"code {feature}"], [f"category {feature}"], to=INT64),
            node("Gather", [f"values {feature}", f"category {feature}"], [f"weight {feature}"]),
        ]
    nodes += [
        node("Sum", ["numbers", "intercept", *(f"weight {feature}" for feature in of_categories)], ["raw"]),
        node("Sigmoid" if problem is Problem.BINARY else "Identity", ["raw"], ["linked"]),
        node("Cast", ["linked"], ["output"], to=FLOAT),
    ]
    from_array = import_module("onnx.numpy_helper").from_array
    return nodes, [from_array(values, name) for name, values in constants.items()]


def _coefficients(told: Mapping[str, Any], loaded: Loaded) -> tuple[Any, dict[int, Any], float]:
    """The weights of numbers, those of categories by feature and code, and the intercept."""
    zeros = import_module("numpy").zeros
    weights, intercept = zeros((len(loaded.labels), 1)), 0.0
    of_categories = {feature: zeros(len(codes)) for feature, codes in enumerate(loaded.codes) if codes}
    for row in told["output"]["coefficients_table"].cell_values:
        name, value = str(row[0]), float(row[1])
        if name == INTERCEPT:
            intercept = value
        elif name in loaded.labels:
            weights[loaded.labels.index(name), 0] = value
        else:
            feature, code = _category(name, loaded)
            of_categories[feature][code] = value
    return weights, of_categories, intercept


def _category(name: str, loaded: Loaded) -> tuple[int, int]:
    """The feature and our code of the category for which H2O has the coefficient `feature.category`."""
    for feature, (label, categories) in enumerate(zip(loaded.labels, loaded.categories, strict=True)):
        if categories and name.startswith(f"{label}.") and name.removeprefix(f"{label}.") in categories:
            return feature, categories.index(name.removeprefix(f"{label}."))
    raise LookupError(f"H2O names {name!r}, which is no column of the table")
