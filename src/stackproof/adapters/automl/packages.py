"""A fitted model as a package that a server can load: one ONNX file and its signature."""

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from stackproof.adapters.automl.boosted_trees import boosting_to_onnx
from stackproof.adapters.automl.columns import Floats
from stackproof.adapters.automl.recipes import predictions
from stackproof.errors import Conflict, StorageFailed, StorageFull
from stackproof.roles.automl import Problem
from stackproof.roles.serving import Signature, TensorSpec

MODEL_FILE = "model.onnx"
TOLERANCE = 1e-4


class NotConvertible(Exception):
    """The model has no ONNX form that predicts the same. The text says why, in one line."""


def to_onnx(problem: Problem, model: Any, sample: Floats) -> bytes:
    """An ONNX graph that takes one 32-bit float tensor "input" [rows, features].

    Its last output is "probability" [rows, 1], "probabilities" [rows, 2] or "prediction" [rows, 1].
    Its predictions on the rows of `sample` differ from the model's by at most 1e-4 (for a regression, times the largest
    prediction); otherwise, and for a model without a conversion, raises `NotConvertible`.
    """
    content = _convert(problem, model, sample.shape[1])
    session = onnxruntime.InferenceSession(content, _quiet(), providers=["CPUExecutionProvider"])
    answer = np.asarray(session.run(None, {"input": sample.astype(np.float32)})[-1])[:, -1]
    expected = predictions(problem, model, sample)
    scale = 1.0 if problem is Problem.BINARY else float(np.abs(expected).max())
    apart = float(np.abs(answer - expected).max())
    if not apart <= TOLERANCE * scale:
        raise NotConvertible(f"its ONNX form predicts up to {apart:.3g} off")
    return content


def _convert(problem: Problem, model: Any, features: int) -> bytes:
    if isinstance(model, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return boosting_to_onnx(problem, model, features)
    outputs = [("label", Int64TensorType([None])), ("probabilities", FloatTensorType([None, 2]))]
    if problem is Problem.REGRESSION:
        outputs = [("prediction", FloatTensorType([None, 1]))]
    try:
        graph = convert_sklearn(
            model,
            initial_types=[("input", FloatTensorType([None, features]))],
            final_types=outputs,
            options={id(model): {"zipmap": False}} if problem is Problem.BINARY else None,
        )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as refused:
        raise NotConvertible(f"it has no ONNX form: {str(refused).splitlines()[0][:200]}") from refused
    content: bytes = graph.SerializeToString()
    return content


def _quiet() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return options


def write_package(into: Path, problem: Problem, content: bytes, features: Sequence[TensorSpec]) -> None:
    """Write the package so that it is there whole or not at all.

    Raises `Conflict` when `into` exists, `StorageFailed` when it cannot be written.
    """
    refuse_existing(into)
    output = "probability" if problem is Problem.BINARY else "prediction"
    signature = Signature("onnx", MODEL_FILE, tuple(features), (TensorSpec(output, "FP64"),))
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{into.name[:50]}.", dir=into.parent))
        try:
            _write_durably(partial, content, signature)
            partial.rename(into)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _sync(into.parent)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise (StorageFull if full else StorageFailed)(
            f"The model package {into.name!r} could not be written", got=error
        ) from error


def refuse_existing(into: Path) -> None:
    """Raises `Conflict` when something is there already."""
    if os.path.lexists(into):
        raise Conflict(
            "The folder for the model package exists already", got=into, allowed="a path that does not exist"
        )


def _write_durably(folder: Path, content: bytes, signature: Signature) -> None:
    (folder / MODEL_FILE).write_bytes(content)
    signature.write(folder)
    for file in sorted(folder.iterdir()):
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
