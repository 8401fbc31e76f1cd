"""A document held against a JSON schema, with messages for the person who wrote it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from stackproof.errors import did_you_mean

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the value at `path`; an unknown key's path ends in that key."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


def faults(document: Mapping[str, Any], schema: Mapping[str, Any], source: str) -> list[str]:
    """One line for each fault, "source: path: message", in the document's order. None is an empty list."""
    return [f"{source}: {fault}" for fault in find_faults(document, schema)]


def find_faults(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Fault]:
    """Every fault of the document, by path. The schema is JSON schema, draft 2020-12."""
    from jsonschema import (
        Draft202012Validator,
    )  # takes 0.15 s to import, and a sound document needs no message

    errors = Draft202012Validator(schema).iter_errors(as_json(document))
    found = [fault for error in errors for fault in _explain(error)]
    return sorted(found, key=lambda fault: ([str(part) for part in fault.path], fault.message))


def as_json(value: Any) -> Any:
    """The value with dates as text and tuples as lists: what JSON could hold."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def dotted(path: Path) -> str:
    """`("roles", "tracking", 0)` as "roles.tracking[0]"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def line_of(text: str, path: Path) -> int | None:
    """The line of TOML `text` on which the value at `path` probably stands, counted from 1.

    A search for the keys in their order, not a parser: None when it finds nothing.
    """
    keys = [part for part in path if isinstance(part, str)]
    lines = text.splitlines()
    at = 0
    found: int | None = None
    for key in keys:
        hit = next((n for n in range(at, len(lines)) if _mentions(lines[n], key)), None)
        if hit is None:
            return found
        at, found = hit, hit + 1
    return found


def _mentions(line: str, key: str) -> bool:
    words = line.split("#")[0].replace("[", " ").replace("]", " ").replace(".", " ").replace("=", " = ").split()
    return key in words or f'"{key}"' in words


def _explain(error: Any) -> list[Fault]:
    path: Path = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _explain_choice(error)
    if error.validator == "additionalProperties" and error.validator_value is False:
        return _unknown_keys(error, path)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [Fault(path, f"the key {key!r} is missing") for key in missing if f"{key!r}" in error.message]
    return [Fault(path, _message(error))]


def _explain_choice(error: Any) -> list[Fault]:
    """The alternative that comes nearest: of the right type, the deepest, with the fewest faults."""
    by_alternative: dict[int, list[Any]] = {}
    for cause in error.context:
        by_alternative.setdefault(cause.schema_path[0], []).append(cause)

    def distance(causes: list[Any]) -> tuple[bool, int, int]:
        wrong_type = any(cause.validator == "type" and not cause.path for cause in causes)
        return wrong_type, -max(len(cause.path) for cause in causes), len(causes)

    return [fault for cause in min(by_alternative.values(), key=distance) for fault in _explain(cause)]


def _unknown_keys(error: Any, path: Path) -> list[Fault]:
    known = sorted(error.schema.get("properties", {}))
    patterns = error.schema.get("patternProperties", {})
    if patterns:
        return [Fault(path, error.message)]
    unknown = [key for key in error.instance if key not in known]
    return [
        Fault((*path, key), f"unknown key{did_you_mean(key, known)}. Allowed: {', '.join(known)}") for key in unknown
    ]


def _message(error: Any) -> str:
    got, allowed = error.instance, error.validator_value
    if error.validator == "enum":
        words: Sequence[str] = [str(value) for value in allowed]
        return f"got {got!r}{did_you_mean(str(got), words)}. Allowed: {', '.join(words)}"
    if error.validator == "const":
        return f"got {got!r}. Allowed: {allowed!r}"
    if error.validator == "type":
        kinds = " or ".join(allowed) if isinstance(allowed, list) else allowed
        return f"got {got!r}. Allowed: {kinds}"
    if error.validator in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        words_of = {
            "minimum": "at least",
            "exclusiveMinimum": "above",
            "maximum": "at most",
            "exclusiveMaximum": "below",
        }
        return f"got {got!r}. Allowed: {words_of[error.validator]} {allowed}"
    return str(error.message)
