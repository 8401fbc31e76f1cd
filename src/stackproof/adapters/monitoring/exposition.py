"""Metrics as a page in the Prometheus text format, version 0.0.4."""

import math
import re
from collections.abc import Mapping

from stackproof.errors import RefusedInput

PREFIX = "stackproof_"
_NOT_IN_METRIC_NAMES = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABEL_NAMES = re.compile(r"[^a-zA-Z0-9_]")


def page_of(values: Mapping[str, float], labels: Mapping[str, str]) -> str:
    """One gauge per value, in the order given, each with the labels.

    A character that a name must not have becomes "_". Raises `RefusedInput` when two names become one.
    """
    names = _unique({given: _metric_name(given) for given in values}, "metrics")
    label_names = _unique({given: _label_name(given) for given in labels}, "labels")
    pairs = ",".join(f'{label_names[given]}="{_escaped(text, quotes=True)}"' for given, text in labels.items())
    suffix = f"{{{pairs}}}" if pairs else ""
    lines = []
    for given, value in values.items():
        name = names[given]
        lines += [
            f"# HELP {name} {_escaped(given)}",
            f"# TYPE {name} gauge",
            f"{name}{suffix} {_spelt(float(value))}",
        ]
    return "".join(f"{line}\n" for line in lines)


def _metric_name(given: str) -> str:
    return PREFIX + _NOT_IN_METRIC_NAMES.sub("_", given.removeprefix(PREFIX))


def _label_name(given: str) -> str:
    """Names that begin with "__" are Prometheus' own; a digit may not come first."""
    name = _NOT_IN_LABEL_NAMES.sub("_", given)
    if name.startswith("__"):
        name = "_" + name.lstrip("_")
    return name if name and not name[0].isdigit() else f"_{name}"


def _unique(names: Mapping[str, str], what: str) -> Mapping[str, str]:
    given_by_name: dict[str, str] = {}
    for given, name in names.items():
        other = given_by_name.setdefault(name, given)
        if other != given:
            raise RefusedInput(
                f"Two {what} have the same name in the Prometheus format",
                got=f"{other!r} and {given!r} are both {name}",
                allowed="names that differ in letters, digits and _",
            )
    return names


def _escaped(text: str, *, quotes: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\n")
    return escaped.replace('"', r"\"") if quotes else escaped


def _spelt(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
