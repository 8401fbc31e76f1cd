"""What MLflow's users need to load a model package with its own functions, and see its columns: the file MLmodel."""

from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.roles.serving import Signature, TensorSpec

FILE, PACKAGE = "MLmodel", "package"
"""The file, and beside it the folder that holds the package as it is."""

TYPES = {"FP64": "double", "INT64": "long", "BOOL": "boolean", "BYTES": "string"}


def described(package: Path) -> str | None:
    """The content of MLmodel; None for a folder that is no package with a signature of ours.

    MLflow loads an XGBoost model as `xgboost.Booster` and an ONNX model as itself. As `pyfunc` it loads an XGBoost
    model whose inputs are numbers: it knows nothing of the codes by which strings are told to a model.
    """
    try:
        signature = Signature.read(package)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    models = import_module("mlflow.models")
    model = models.Model(signature=models.ModelSignature(*map(_schema, (signature.inputs, signature.outputs))))
    data = f"{PACKAGE}/{signature.file}"
    if signature.format == "onnx":
        model.add_flavor("onnx", data=data)
    elif signature.format == "xgboost-json":
        model.add_flavor("xgboost", data=data, model_class="xgboost.core.Booster", model_format="json")
        if all(spec.datatype != "BYTES" for spec in signature.inputs):
            model.add_flavor("python_function", loader_module="mlflow.xgboost")
    else:
        return None
    written: str = model.to_yaml()
    return written


def _schema(specs: tuple[TensorSpec, ...]) -> Any:
    types = import_module("mlflow.types")
    return types.Schema([types.ColSpec(TYPES[spec.datatype], spec.name, spec.required) for spec in specs])
