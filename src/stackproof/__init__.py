"""Stackproof decides an MLOps stack, proves the choice, and runs it under one ledger.

The public names are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from stackproof.roles.serving import TensorSpec
    from stackproof.roles.tuning import Choice, FloatRange, IntRange, ParamValue, PrunedTrial, Space, Trial
    from stackproof.roles.validation import (
        Between,
        ColumnType,
        HasColumn,
        Missing,
        OneOf,
        References,
        RowCount,
        Severity,
        Unique,
    )
    from stackproof.stack.definitions import count, mean, total
    from stackproof.stack.models import Model, matrix, model_inputs, package_model
    from stackproof.stack.project import Project
    from stackproof.stack.recorded_service import RecordPredictions
    from stackproof.stack.run import Features, Run

_HOMES = {
    "stackproof.roles.serving": ("TensorSpec",),
    "stackproof.roles.tuning": ("Choice", "FloatRange", "IntRange", "ParamValue", "PrunedTrial", "Space", "Trial"),
    "stackproof.roles.validation": (
        "Between", "ColumnType", "HasColumn", "Missing", "OneOf", "References", "RowCount", "Severity", "Unique",
    ),
    "stackproof.stack.definitions": ("count", "mean", "total"),
    "stackproof.stack.models": ("Model", "matrix", "model_inputs", "package_model"),
    "stackproof.stack.project": ("Project",),
    "stackproof.stack.recorded_service": ("RecordPredictions",),
    "stackproof.stack.run": ("Features", "Run"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Between", "Choice", "ColumnType", "Features", "FloatRange", "HasColumn", "IntRange", "Missing", "Model",
    "OneOf", "ParamValue", "Project", "PrunedTrial", "RecordPredictions", "References", "RowCount", "Run", "Severity",
    "Space", "TensorSpec", "Trial", "Unique", "count", "matrix", "mean", "model_inputs", "package_model", "total",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'stackproof' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
