"""Model packages: a folder with the model's file, its signature, and the reference that it was fitted on."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.features import FeatureView
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.serving import Signature, TensorSpec
from stackproof.store.tables import read_table, to_frame, write_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

REFERENCE_FILE = "reference.parquet"
_one_at_a_time = Lock()
FILES = {"xgboost-json": "model.json", "onnx": "model.onnx"}


@dataclass(frozen=True, slots=True)
class Model:
    """A model package on disk. `package` is its folder."""

    package: Path
    signature: Signature

    def reference(self) -> "pl.DataFrame | None":
        """A sample of the inputs that the model was fitted on; None when the package has none."""
        file = self.package / REFERENCE_FILE
        return read_table(file) if file.exists() else None


def package_model(
    save: Callable[[str], object],
    *,
    format: str = "xgboost-json",
    inputs: Sequence[TensorSpec],
    output: str = "probability",
    views: Sequence[FeatureView] = (),
    reference: Any = None,
) -> Model:
    """Write a model package to a new folder and return it. The folder goes when this process ends.

    `save` writes the model to the path that it is given. `inputs` are in the model's column order.
    `reference`: a table with the inputs' columns, kept for monitoring. Raises `RefusedInput`.
    """
    if format not in FILES:
        raise RefusedInput("The model's format cannot be served", got=format, allowed=", ".join(FILES))
    package = _new_folder()
    save(str(package / FILES[format]))
    signature = Signature(
        format=format,
        file=FILES[format],
        inputs=tuple(inputs),
        outputs=(TensorSpec(output, "FP64"),),
        views=tuple((view.name, view.entity) for view in views),
    )
    signature.write(package)
    if reference is not None:
        names = [spec.name for spec in inputs]
        write_table(_select(to_frame(reference), names), package / REFERENCE_FILE)
    return Model(package, signature)


def _new_folder() -> Path:
    with _one_at_a_time:
        return Path(tempfile.mkdtemp(dir=_folder_of_this_process()))


@cache
def _folder_of_this_process() -> str:
    folder = tempfile.mkdtemp(prefix="stackproof-models-")
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)


def model_inputs(table: Any, names: Sequence[str] | None = None) -> tuple[TensorSpec, ...]:
    """The inputs that a table's columns make, in the order of `names` (all columns when None).

    Strings become BYTES with their sorted distinct values as categories, booleans BOOL, integers
    INT64, other numbers FP64. Raises `InvalidTable` for a missing column or another type.
    """
    frame = to_frame(table)
    chosen = _select(frame, list(names) if names is not None else frame.columns)
    return tuple(_spec(chosen[name]) for name in chosen.columns)


def _spec(column: "pl.Series") -> TensorSpec:
    if column.dtype.is_integer():
        return TensorSpec(column.name, "INT64")
    if column.dtype.is_float():
        return TensorSpec(column.name, "FP64")
    kind = str(column.dtype)
    if kind == "Boolean":
        return TensorSpec(column.name, "BOOL")
    if kind == "String":
        return TensorSpec(column.name, "BYTES", tuple(column.drop_nulls().unique().sort().to_list()))
    raise InvalidTable(
        f"The column {column.name!r} cannot be a model's input",
        got=kind,
        allowed="numbers, booleans, strings",
    )


def matrix(table: Any, inputs: Sequence[TensorSpec]) -> "np.ndarray[Any, Any]":
    """Rows x inputs as float64, exactly as a server encodes a request.

    A string is the position of its category; a missing value or unknown category is NaN.
    Raises `InvalidTable` for a missing column.
    """
    import polars as pl

    frame = _select(to_frame(table), [spec.name for spec in inputs])
    columns = [
        pl.col(spec.name).replace_strict(
            list(spec.categories), list(range(len(spec.categories))), default=None, return_dtype=pl.Float64
        )
        if spec.datatype == "BYTES"
        else pl.col(spec.name).cast(pl.Float64)
        for spec in inputs
    ]
    encoded: np.ndarray[Any, Any] = frame.select(columns).fill_null(float("nan")).to_numpy(order="c")
    return encoded


def column_kinds(signature: Signature) -> Mapping[str, ColumnKind]:
    """How each input is monitored: strings and booleans as categories, the rest as numbers."""
    return {
        spec.name: ColumnKind.CATEGORICAL if spec.datatype in ("BYTES", "BOOL") else ColumnKind.NUMERIC
        for spec in signature.inputs
    }


def _select(frame: "pl.DataFrame", names: list[str]) -> "pl.DataFrame":
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InvalidTable("A table lacks columns", got=", ".join(frame.columns), allowed=", ".join(missing))
    return frame.select(names)
