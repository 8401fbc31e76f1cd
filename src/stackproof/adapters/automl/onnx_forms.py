"""What a model's ONNX form is held to, whoever wrote it."""

from importlib import import_module
from typing import TYPE_CHECKING

from stackproof.roles.automl import Problem

if TYPE_CHECKING:
    from stackproof.adapters.automl.columns import Floats

TOLERANCE = 1e-4
SAMPLE_ROWS = 2_000
"""So many rows are enough to compare."""


class NotConvertible(Exception):
    """The model has no ONNX form that predicts the same. The text says why, in one line."""


def output_of(problem: Problem) -> str:
    """Of a graph that gives one number for each row."""
    return "probability" if problem is Problem.BINARY else "prediction"


def check_form(content: bytes, problem: Problem, rows: "Floats", expected: "Floats") -> None:
    """Raises `NotConvertible` where the graph's last output, in its last column, is further than 1e-4 from `expected`;
    for a regression, 1e-4 of the largest.
    """
    numpy, runtime = import_module("numpy"), import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    answer = numpy.asarray(session.run(None, {"input": rows.astype(numpy.float32)})[-1])[:, -1]
    scale = 1.0 if problem is Problem.BINARY else float(numpy.abs(expected).max())
    apart = float(numpy.abs(answer - expected).max())
    if not apart <= TOLERANCE * scale:
        raise NotConvertible(f"its ONNX form predicts up to {apart:.3g} off")
