"""The values of one named column: checked against its datatype, and turned into the model's numbers."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stackproof.adapters.serving.models import Matrix
from stackproof.errors import RefusedInput
from stackproof.roles.features import Value
from stackproof.roles.serving import TensorSpec

INTEGER_TYPES = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
NUMBER_TYPES = INTEGER_TYPES | {"FP16", "FP32", "FP64"}
_INT64 = range(-(2**63), 2**63)
_MISSING = type(None)


def floats(name: str, values: Sequence[Any]) -> Sequence[Value]:
    """FP64: numbers as floats, None for missing."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return values
    _check_kinds(name, values, kinds, {float, int, _MISSING}, "numbers and null")
    return [None if value is None else float(value) for value in values]


def integers(name: str, values: Sequence[Any]) -> Sequence[Value]:
    """INT64: numbers without a fraction as ints, None for missing."""
    kinds = set(map(type, values))
    _check_kinds(name, values, kinds, {float, int, _MISSING}, "whole numbers and null")
    for value in values:
        if value is not None and not (value in _INT64 if type(value) is int else value.is_integer()):
            raise _wrong_value(name, value, "whole numbers from -2^63 to 2^63-1, and null")
    if float not in kinds:
        return values
    whole = [None if value is None else int(value) for value in values]
    return whole if all(v is None or v in _INT64 for v in whole) else integers(name, whole)


def truths(name: str, values: Sequence[Any]) -> Sequence[Value]:
    """BOOL: true and false, None for missing."""
    _check_kinds(name, values, set(map(type, values)), {bool, _MISSING}, "true, false and null")
    return values


def texts(name: str, values: Sequence[Any]) -> Sequence[Value]:
    """BYTES: strings, None for missing."""
    _check_kinds(name, values, set(map(type, values)), {str, _MISSING}, "strings and null")
    return values


def _check_kinds(name: str, values: Sequence[Any], kinds: set[type], allowed: set[type], words: str) -> None:
    if not kinds <= allowed:
        raise _wrong_value(name, next(value for value in values if type(value) not in allowed), words)


def _wrong_value(name: str, value: object, words: str) -> RefusedInput:
    return RefusedInput(f"The input {shown(name)} holds a value of the wrong type", got=shown(value), allowed=words)


READERS: Mapping[str, Callable[[str, Sequence[Any]], Sequence[Value]]] = {
    "FP64": floats,
    "INT64": integers,
    "BOOL": truths,
    "BYTES": texts,
}


@lru_cache(maxsize=128)
def reader_for(datatype: str, spec_type: str | None) -> Callable[[str, Sequence[Any]], Sequence[Value]] | None:
    """The reader for data stated as `datatype` into an input of `spec_type` (None: any); None when they don't fit."""
    if datatype in NUMBER_TYPES and spec_type in ("FP64", "INT64", None):
        stated = "INT64" if datatype in INTEGER_TYPES else "FP64"
        if spec_type == "FP64" and stated == "INT64":
            return _whole_floats
        return READERS[spec_type or stated]
    return READERS[datatype] if datatype in ("BOOL", "BYTES") and spec_type in (datatype, None) else None


def _whole_floats(name: str, values: Sequence[Any]) -> Sequence[Value]:
    return floats(name, integers(name, values))


def from_view(spec: TensorSpec, values: Sequence[Value]) -> Sequence[Value]:
    """A feature view's values for an input: NaN is missing, a truth counts as 1 or 0 where numbers are wanted."""
    found = [None if value != value else value for value in values]
    if spec.datatype in ("FP64", "INT64"):
        found = [int(value) if isinstance(value, bool) else value for value in found]
    return READERS[spec.datatype](spec.name, found)


def check_required(spec: TensorSpec, values: Sequence[Value]) -> None:
    """Raises `RefusedInput` when the input is required and a value is missing."""
    if spec.required and None in values:
        raise RefusedInput(f"The input {spec.name!r} is required", got=f"no value in row {list(values).index(None)}")


class Encoder:
    """Turns columns, in the signature's order, into the model's matrix."""

    def __init__(self, specs: Sequence[TensorSpec], dtype: type[np.floating[Any]]) -> None:
        self._specs = specs
        self._dtype = dtype
        self._limit = float(np.finfo(dtype).max)
        self._codes = [
            (index, {category: code for code, category in enumerate(spec.categories)})
            for index, spec in enumerate(specs)
            if spec.datatype == "BYTES"
        ]

    def matrix(self, columns: Sequence[Sequence[Value]]) -> Matrix:
        """Rows by inputs; missing and unknown categories as NaN. Raises `RefusedInput` for a number out of range."""
        numbers: list[Sequence[Any]] = list(columns)
        for index, codes in self._codes:
            numbers[index] = [codes.get(value) for value in columns[index]]  # type: ignore[arg-type]  # None is no code
        exact = np.array(numbers, dtype=np.float64)
        too_large = np.abs(exact) > self._limit
        if too_large.any():
            index, row = (int(position[0]) for position in np.nonzero(too_large))
            raise RefusedInput(
                f"The input {self._specs[index].name!r} holds a number out of range",
                got=shown(columns[index][row]),
                allowed=f"at most {self._limit:.6g} either side of 0, as the model computes in {self._dtype.__name__}",
            )
        return np.ascontiguousarray(exact.T, dtype=self._dtype)


def shown(value: object) -> str:
    """A value as it may stand in a message: its repr, at most 80 characters, without building a long one."""
    if isinstance(value, (list, dict)):
        return f"{'an array' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 82 else text[:80] + "…"
