"""What MLflow's users need to load a model package with its own functions, and see its columns: the file MLmodel."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.adapters.tracking.mlflow_form import path_key
from stackproof.roles.serving import Signature, TensorSpec

FILE, PACKAGE = "MLmodel", "package"
"""The file, and beside it the folder that holds the package as it is."""

FLAVORS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "onnx": ("onnx", {}),
    "xgboost-json": ("xgboost", {"model_class": "xgboost.core.Booster", "model_format": "json"}),
}
TYPES = {"FP64": "double", "INT64": "long", "BOOL": "boolean", "BYTES": "string"}


def described(package: Path) -> str | None:
    """The content of MLmodel; None for a folder that is no package with a signature of ours which MLflow can say.

    MLflow loads an XGBoost model as `xgboost.Booster` and an ONNX model as itself. As `pyfunc` it loads an XGBoost
    model whose inputs are numbers: it knows nothing of the codes by which strings are told to a model.
    """
    try:
        signature = Signature.read(package)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    sides = (signature.inputs, signature.outputs)
    if (
        signature.format not in FLAVORS
        or not all(sides)
        or any(s.datatype not in TYPES for side in sides for s in side)
    ):
        return None
    models = import_module("mlflow.models")
    model = models.Model(signature=models.ModelSignature(*map(_schema, sides)))
    name, facts = FLAVORS[signature.format]
    model.add_flavor(name, data=f"{PACKAGE}/{path_key(signature.file)}", **facts)
    if name == "xgboost" and all(spec.datatype != "BYTES" for spec in signature.inputs):
        model.add_flavor("python_function", loader_module="mlflow.xgboost")
    written: str = model.to_yaml()
    return written


def _schema(specs: tuple[TensorSpec, ...]) -> Any:
    types = import_module("mlflow.types")
    return types.Schema([types.ColSpec(TYPES[spec.datatype], spec.name, spec.required) for spec in specs])
