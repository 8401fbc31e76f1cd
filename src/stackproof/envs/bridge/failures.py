"""How errors cross. Ours keep type, fields and message; Python's own keep their type; a tool's get a stand-in.

A tool's error that leaves an adapter is mapped once to our tree: `as_ours`. Each keeps the traceback of the other
process as a note.
"""

import builtins
import traceback
from importlib import import_module
from typing import Any

from stackproof.errors import NotCapable, NotFound, StackproofError, StorageFull, Unavailable, is_full

PLAIN = (str, int, float, bool, type(None))
HOMES = ("stackproof.errors", "stackproof.roles.")

Record = tuple[Any, ...]


def is_ours(kind: type) -> bool:
    return kind.__module__ == HOMES[0]


def as_record(error: BaseException, number: int, depth: int = 0) -> Record:
    """What is needed to make it again: where it is defined, its text, fields, notes, cause and traceback."""
    home = _known_kind(type(error))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return (
        number,
        (home.__module__, home.__qualname__),
        f"{type(error).__module__}.{type(error).__qualname__}",
        _text(error),
        {name: plain(value) for name, value in vars(error).items() if name[0] != "_"} if _is_tree(home) else {},
        tuple(str(note) for note in getattr(error, "__notes__", ())),
        as_record(cause, 0, depth + 1) if cause is not None and depth < 5 else None,
        "".join(traceback.format_tb(error.__traceback__)[-20:]) if depth == 0 else "",
        tuple(plain(argument) for argument in error.args),
    )


def from_record(record: Record, where: str) -> BaseException:
    """The error made again. `where` names the other process, for the note with its traceback."""
    _, home, full_name, text, fields, notes, cause, trace, arguments = record
    error = _made(home, full_name, text, fields, arguments)
    vars(error)["_came_from"] = where
    for note in notes:
        error.add_note(note)
    if trace:
        error.add_note(f"In {where}:\n{trace}{full_name}: {text}")
    if cause is not None:
        error.__cause__ = from_record(cause, where)
    return error


def as_ours(error: BaseException, call: str) -> BaseException:
    """An error of Python or of a tool, mapped to our tree; one of ours, or of this process, as it is."""
    if _is_tree(type(error)) or not isinstance(error, (Exception, SystemExit)) or not hasattr(error, "_came_from"):
        return error
    mapped = _mapped(error, call)
    for note in getattr(error, "__notes__", ()):
        mapped.add_note(note)
    return mapped


def plain(value: object) -> object:
    """A value that any process can read: what is not plain becomes its text."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, (tuple, list)):
        return type(value)(plain(item) for item in value) if type(value) in (tuple, list) else tuple(map(plain, value))
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return str(value)


def _mapped(error: BaseException, call: str) -> StackproofError:
    got = f"{getattr(type(error), 'bridged_name', type(error).__name__)}: {error}"
    if isinstance(error, ModuleNotFoundError):
        return NotFound(
            f"{call} needs a module that its environment lacks", got=str(error), next_command="stackproof apply"
        )
    if isinstance(error, (ConnectionError, TimeoutError)):
        return Unavailable(f"{call} could not reach what it needs", got=got)
    if isinstance(error, OSError) and is_full(error):
        return StorageFull(f"{call} found the disk full", got=got, next_command="df -h")
    if isinstance(error, NotImplementedError):
        return NotCapable(f"{call} is not implemented", got=got)
    return StackproofError(f"{call} failed", got=got)


def _is_tree(kind: type) -> bool:
    return kind.__module__ == HOMES[0] or kind.__module__.startswith(HOMES[1])


def _known_kind(kind: type[BaseException]) -> type[BaseException]:
    """The nearest class that both sides have."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins" or _is_tree(base))


def _made(home: tuple[str, str], full_name: str, text: str, fields: dict[str, Any], arguments: Any) -> BaseException:
    module, name = home
    kind: type[BaseException] = getattr(import_module(module) if _is_home(module) else builtins, name)
    if f"{module}.{name}" != full_name and not _is_tree(kind):
        kind = _stand_in(kind, full_name)
    error = kind.__new__(kind)
    error.args = tuple(arguments)
    for field, value in fields.items():
        setattr(error, field, value)
    if isinstance(error, OSError) and len(arguments) >= 2:
        error.errno, error.strerror = arguments[0], arguments[1]
    if isinstance(error, ImportError):
        error.msg = text
    if str(error) != text and not _is_tree(kind):
        return _with_text(error, kind, full_name, text)
    return error


def _is_home(module: str) -> bool:
    return module == HOMES[0] or module.startswith(HOMES[1])


def _stand_in(kind: type[BaseException], full_name: str) -> type[BaseException]:
    module, _, name = full_name.rpartition(".")
    return type(name, (kind,), {"__module__": module, "bridged_name": full_name})


def _with_text(error: BaseException, kind: type[BaseException], full_name: str, text: str) -> BaseException:
    """For errors whose text is not made of their arguments."""
    told = {"__module__": kind.__module__, "__str__": lambda self: text, "bridged_name": full_name}
    shown: type[BaseException] = type(kind.__name__, (kind,), told)
    made = shown.__new__(shown)
    made.args = error.args
    return made


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  # a tool's own __str__ may raise anything, and the error must cross
        return f"an error whose text cannot be made: {type(broken).__name__}"
