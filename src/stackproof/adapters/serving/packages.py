"""Loading a model package: a folder with `signature.json` and one model file."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stackproof.adapters.serving.models import FORMATS, Model, Outputs, open_model
from stackproof.errors import Corrupted, RefusedInput
from stackproof.roles.serving import SIGNATURE_FILE, Signature, TensorSpec

DATATYPES = ("FP64", "INT64", "BOOL", "BYTES")


@dataclass(frozen=True, slots=True)
class Package:
    """A model that can be asked, and what it takes and gives."""

    signature: Signature
    model: Model


def load(folder: Path) -> Package:
    """Load the package and predict one row of zeros.

    Raises `RefusedInput` for a package that cannot be served, `Corrupted` for a damaged one. A model that was made to
    do harm can end the process: `trial.load_safely` tries it in another.
    """
    signature = _signature(folder)
    faults = [*_signature_faults(signature), *_file_faults(signature)]
    if faults:
        raise RefusedInput(f"The package {folder.name} cannot be served", faults=faults)
    model = open_model(_content(folder, signature.file), signature)
    _check_outputs(signature, model.predict(np.zeros((1, len(signature.inputs)), dtype=model.dtype)))
    return Package(signature, model)


def _signature(folder: Path) -> Signature:
    if not (folder / SIGNATURE_FILE).is_file() or (folder / SIGNATURE_FILE).is_symlink():
        raise RefusedInput(
            f"There is no model package in {folder.name!r}",
            allowed=f"a folder with {SIGNATURE_FILE} as a plain file, and one model file",
        )
    try:
        return Signature.read(folder)
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise Corrupted(f"{SIGNATURE_FILE} of the package {folder.name} is not JSON", got=fault) from fault
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise RefusedInput(
            f"{SIGNATURE_FILE} of the package {folder.name} is not a signature", got=repr(fault)
        ) from fault


def _signature_faults(signature: Signature) -> list[str]:
    faults = [fault for spec in signature.inputs for fault in _input_faults(spec)]
    for side, specs in (("input", signature.inputs), ("output", signature.outputs)):
        names = [spec.name for spec in specs]
        if not names:
            faults.append(f"there is no {side}")
        faults += [f"two {side}s are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]
        faults += [
            f"the {side} {spec.name!r} has the datatype {spec.datatype!r}; allowed: {', '.join(DATATYPES)}"
            for spec in specs
            if spec.datatype not in DATATYPES
        ]
    return faults


def _input_faults(spec: TensorSpec) -> list[str]:
    faults = []
    if spec.datatype == "BYTES" and not spec.categories:
        faults.append(f"the input {spec.name!r} is BYTES without categories, so its values have no codes")
    if len(set(spec.categories)) != len(spec.categories):
        faults.append(f"the input {spec.name!r} has a category twice")
    return faults


def _file_faults(signature: Signature) -> list[str]:
    if signature.format not in FORMATS:
        return [f"the format {signature.format!r} is not served; allowed: {', '.join(FORMATS)}"]
    name, endings = signature.file, FORMATS[signature.format]
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\:\0"):
        return [f"the model file {name!r} is not a plain file name within the package"]
    if not name.endswith(endings):
        return [f"the model file {name!r} does not end in {' or '.join(endings)}"]
    return []


def _content(folder: Path, name: str) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if (folder / name).is_symlink():
        raise RefusedInput(f"The model file {name!r} is a symbolic link", allowed="a plain file")
    try:
        descriptor = os.open(folder / name, flags)
    except OSError as fault:
        raise Corrupted(
            f"The model file {name!r} that {SIGNATURE_FILE} names cannot be read", got=fault.strerror
        ) from fault
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedInput(f"The model file {name!r} is not a plain file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _check_outputs(signature: Signature, outputs: Outputs) -> None:
    kinds = {"FP64": "f", "INT64": "iu", "BOOL": "b", "BYTES": "OSU"}
    for spec in signature.outputs:
        array = outputs[spec.name]
        if array.dtype.kind not in kinds[spec.datatype] or array.ndim not in (1, 2) or len(array) != 1:
            raise RefusedInput(
                f"The output {spec.name!r} is not what the signature says",
                got=f"{array.dtype} of shape {list(array.shape)} for one row",
                allowed=f"{spec.datatype} of shape [1] or [1, classes]",
            )
