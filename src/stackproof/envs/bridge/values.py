"""How values cross: a restricted pickle.

Pickle, because the contracts' values are frozen dataclasses, enums, datetimes, tuples and mappings in large numbers,
and C code writes those at once, the same in every Python version. Restricted, because only the classes of
`stackproof.roles`, our errors and the standard types named in `STANDARD` come out of it: a message can neither name a
class of a tool nor import a module. Paths, enums, errors and subclasses of plain types are written in a form of our
own, since theirs differ between Python versions or name a tool's class.

What is no value goes as a reference: functions, iterators, tables, and objects that keep a protocol of the role.
"""

import io
import numbers
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from importlib import import_module
from operator import attrgetter
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from stackproof.envs.bridge.failures import as_record, is_ours
from stackproof.errors import RefusedInput
from stackproof.roles.table import Table

STANDARD = {
    "builtins": {"dict", "list", "tuple", "set", "frozenset", "bytearray", "complex", "int", "float", "str", "bytes"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "uuid": {"UUID"},
    "copyreg": {"__newobj__"},
}
NATIVE = frozenset({datetime, date, time, timedelta, timezone, Decimal, UUID})
NEAR: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (numbers.Real, float),
    (Mapping, dict),
    (Sequence, list),
    (Set, frozenset),
)
PLAIN = (str, bytes, int, float, dict, list, tuple, set, frozenset)


class Ends(Protocol):
    """What the two ends of a reference do; the peer is that."""

    def export(self, kind: str, value: object) -> tuple[int, object]:
        """Keep the object here. Returns its number, and what the other side must know of it."""
        ...

    def own(self, value: object) -> int | None:
        """The number that the other side gave the object, when it is one of the other side's."""
        ...

    def error_number(self, error: BaseException) -> int:
        """The number of an error that the other side may give back to us; 0 for one that it need not."""
        ...

    def remote(self, kind: str, number: int, known: object) -> object:
        """The stand-in for an object of the other side."""
        ...

    def remote_error(self, record: tuple[Any, ...]) -> BaseException:
        """The stand-in for an error of the other side."""
        ...


def same(value: object) -> object:
    return value


def path_of(text: str) -> Path:
    return Path(text)


def zone_of(key: str) -> tzinfo:
    return ZoneInfo(key)


def made_of(kind: type[Any], values: tuple[object, ...]) -> object:
    """A dataclass from its fields, as they were: its constructor has run where it was made."""
    made: object = object.__new__(kind)
    shape = _shape_of(kind)
    if shape is None:
        raise RefusedInput("A message over the bridge names a class that is no value", got=kind.__qualname__)
    for name, value in zip(shape.names, values, strict=True):
        object.__setattr__(made, name, value)
    return made


def enum_of(kind: type[Enum], value: object) -> Enum:
    return kind(value)


def reference(kind: str, number: int, known: object) -> object:
    """Stands in the pickle; `Decoder` puts the peer's own in its place."""
    raise NotImplementedError


def given_back(number: int) -> object:
    """Like `reference`, for what belongs to the receiver."""
    raise NotImplementedError


def failure(record: tuple[Any, ...]) -> BaseException:
    """Like `reference`, for an error."""
    raise NotImplementedError


OWN = {
    function.__name__: function
    for function in (same, made_of, path_of, zone_of, enum_of, reference, given_back, failure)
}


class Encoder(pickle.Pickler):
    """`returned` are the numbers of the receiver's own objects in the value, `exported` those made for it."""

    def __init__(self, file: io.BytesIO, ends: Ends) -> None:
        super().__init__(file, protocol=5)
        self._ends = ends
        self.returned: list[int] = []
        self.exported: list[int] = []

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        shape = _shape_of(kind)
        if shape is not None:
            return made_of, (kind, shape.values(value))
        if kind in NATIVE:
            return NotImplemented
        if OWN.get(getattr(value, "__name__", "")) is value or (isinstance(value, type) and _is_allowed(value)):
            return NotImplemented
        if isinstance(value, Enum) and _is_role(kind):
            return enum_of, (kind, value.value)
        if isinstance(value, PurePath):
            return path_of, (str(value),)
        if isinstance(value, ZoneInfo):
            return zone_of, (value.key,)
        number = self._ends.own(value)
        if number is not None:
            self.returned.append(number)
            return given_back, (number,)
        if isinstance(value, BaseException):
            return failure, (as_record(value, self._ends.error_number(value)),)
        if _is_role(kind) or kind.__name__ in STANDARD.get(kind.__module__, ()):
            return NotImplemented
        return self._plain(value) or self._reference(value)

    def _plain(self, value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        """A subclass of a plain type, or what a numeric library has for one, as that plain type."""
        if isinstance(value, (memoryview, *PLAIN)):
            plain = next((plain for plain in PLAIN if isinstance(value, plain)), bytes)
            return same, (_base(plain, value),)
        if isinstance(value, type):
            return None
        if callable(getattr(value, "tolist", None)):
            return same, (value.tolist(),)
        near = next((make for kind, make in NEAR if isinstance(value, kind)), None)
        return (same, (near(value),)) if near is not None else None

    def _reference(self, value: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        kind = _kind_of_reference(value)
        number, known = self._ends.export(kind, value)
        self.exported.append(number)
        return reference, (kind, number, known)


class Decoder(pickle.Unpickler):
    """`pinned` are our own objects that the message names, found when it arrived."""

    def __init__(self, content: memoryview, ends: Ends, pinned: Mapping[int, object]) -> None:
        super().__init__(io.BytesIO(content))
        self._own = {
            "same": same,
            "made_of": made_of,
            "path_of": path_of,
            "zone_of": zone_of,
            "enum_of": enum_of,
            "reference": ends.remote,
            "given_back": pinned.__getitem__,
            "failure": ends.remote_error,
        }

    def find_class(self, module: str, name: str) -> Any:
        if module == __name__ and name in self._own:
            return self._own[name]
        if name in STANDARD.get(module, ()):
            return super().find_class(module, name)
        if module == "stackproof.errors" or module.startswith("stackproof.roles."):
            found = getattr(import_module(module), name, None)
            if isinstance(found, type):
                return found
        raise RefusedInput(
            "A message over the bridge names something that is no value of a contract",
            got=f"{module}.{name}",
            allowed="the classes of stackproof.roles, our errors, and plain values",
        )


class _Shape(NamedTuple):
    """The fields of a contract's dataclass, and what takes their values out of one."""

    names: tuple[str, ...]
    values: Callable[[Any], tuple[object, ...]]


_shapes: dict[type[Any], _Shape | None] = {}


def _shape_of(kind: type[Any]) -> _Shape | None:
    """None for what is no dataclass of a contract."""
    if kind not in _shapes:
        _shapes[kind] = _new_shape(kind) if _is_role(kind) and is_dataclass(kind) else None
    return _shapes[kind]


def _new_shape(kind: type[Any]) -> _Shape:
    names = tuple(field.name for field in fields(kind))
    if len(names) > 1:
        return _Shape(names, attrgetter(*names))
    return _Shape(names, lambda value: tuple(getattr(value, name) for name in names))


def _base(plain: type, value: Any) -> Any:
    """Of exactly this type, so that pickle writes it by itself."""
    if plain in (int, str):
        return getattr(plain, "__int__" if plain is int else "__str__")(value)
    return float.__float__(value) if plain is float else plain(value)


def _is_allowed(value: type) -> bool:
    return _is_role(value) or value.__name__ in STANDARD.get(value.__module__, ())


def _is_role(kind: type) -> bool:
    return kind.__module__.startswith("stackproof.roles.") or is_ours(kind)


def _kind_of_reference(value: Any) -> str:
    if isinstance(value, Table):
        return "table"
    if isinstance(value, Iterator):
        return "iterator"
    return "callable" if callable(value) and not isinstance(value, type) else "object"
