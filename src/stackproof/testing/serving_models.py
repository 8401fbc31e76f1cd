"""Tiny model packages for the tests of servers, and the requests that fit them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackproof.roles.serving import Signature, TensorSpec

CARRIERS = ("AA", "DL", "UA")
INPUTS = (
    TensorSpec("distance", "FP64", required=True),
    TensorSpec("seats", "INT64"),
    TensorSpec("heavy", "BOOL"),
    TensorSpec("carrier", "BYTES", CARRIERS),
    TensorSpec("wind", "FP64"),
    TensorSpec("visibility", "FP64"),
    TensorSpec("late_share", "FP64"),
)
VIEWS = (("weather", ("origin",)), ("carrier_delays", ("carrier",)), ("planes", ("tailnum",)))
"""`FEATURES` lacks the view planes: as if it was never materialized."""
OUTPUTS = (TensorSpec("probability", "FP64"),)

FEATURES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "weather": [
        {
            "entity": {"origin": "JFK"},
            "known_at": "2013-07-01T10:00:00+00:00",
            "values": {"wind": 5.0, "visibility": 10.0},
        },
        {
            "entity": {"origin": "JFK"},
            "known_at": "2013-07-01T12:00:00+00:00",
            "values": {"wind": 25.0, "visibility": 2.0},
        },
    ],
    "carrier_delays": [
        {"entity": {"carrier": "UA"}, "known_at": "2013-07-01T09:00:00+00:00", "values": {"late_share": 0.4}},
    ],
}
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
"""When the second row of the weather became known."""

FULL_ROW: Mapping[str, Any] = {
    "distance": 1400.5,
    "seats": 180,
    "heavy": False,
    "carrier": "UA",
    "wind": 12.0,
    "visibility": 9.0,
    "late_share": 0.25,
}


def xgboost_package(folder: Path, seed: int) -> Path:
    """20 rounds on random numbers; another seed gives another model."""
    import numpy
    import xgboost

    random = numpy.random.default_rng(seed)
    columns = random.normal(size=(400, len(INPUTS))) * [800, 90, 1, 1, 10, 5, 0.3]
    late = columns[:, 0] / 800 + columns[:, 4] / 10 > 0
    booster = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, "seed": seed, "max_depth": 3},
        xgboost.DMatrix(columns, late),
        20,
    )
    folder.mkdir(parents=True)
    booster.save_model(folder / "model.json")
    Signature("xgboost-json", "model.json", INPUTS, OUTPUTS, VIEWS).write(folder)
    return folder


def onnx_package(folder: Path, bias: float) -> Path:
    """A logistic regression of one input `x` with weight 1: probability = 1 / (1 + exp(-(x + bias)))."""
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("Add", ["columns", "bias"], ["score"]),
            helper.make_node("Sigmoid", ["score"], ["probability"]),
        ],
        "logistic",
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    Signature("onnx", "model.onnx", (TensorSpec("x", "FP64"),), OUTPUTS).write(folder)
    return folder


def tensor(name: str, values: Sequence[Any], datatype: str = "") -> dict[str, Any]:
    """An input tensor of shape [n]; the datatype follows the first value unless given."""
    kinds = {bool: "BOOL", int: "INT64", str: "BYTES"}
    return {
        "name": name,
        "shape": [len(values)],
        "datatype": datatype or kinds.get(type(values[0]), "FP64"),
        "data": list(values),
    }


def request(columns: Mapping[str, Sequence[Any]], **further: Any) -> dict[str, Any]:
    """An infer request from columns; `further`: id, parameters, outputs."""
    return {"inputs": [tensor(name, values) for name, values in columns.items()], **further}


def full_request(rows: int = 1, **further: Any) -> dict[str, Any]:
    """Every input is given; row i flies 10 i miles further."""
    columns = {name: [value] * rows for name, value in FULL_ROW.items()}
    columns["distance"] = [FULL_ROW["distance"] + 10 * row for row in range(rows)]
    return request(columns, **further)
