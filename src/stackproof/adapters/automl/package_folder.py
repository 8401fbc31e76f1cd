"""A model package that a server can load: one ONNX file and its signature. The standard library alone."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stackproof.errors import Conflict, not_written
from stackproof.roles.automl import Problem
from stackproof.roles.serving import Signature, TensorSpec
from stackproof.store.files import sync

MODEL_FILE = "model.onnx"


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
        sync(into.parent)
    except OSError as error:
        raise not_written(f"The model package {into.name!r} could not be written", error) from error


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
        sync(file)
    sync(folder)
