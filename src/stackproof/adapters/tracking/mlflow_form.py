"""How names and values are written in MLflow, and read from it. Pure, without MLflow.

MLflow keeps parameters as text and instants to the millisecond, and takes few characters in names. A plain value or
name is written as any user of MLflow would write it; only what would not come back is written in another way.
"""

import json
import math
import posixpath
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from stackproof.adapters.tracking.content import Content
from stackproof.adapters.tracking.escaping import escaped, escaped_first, unescaped
from stackproof.adapters.tracking.texts import checked_name, checked_text
from stackproof.errors import RefusedInput
from stackproof.roles.tracking import Artifact, Metric, Param

RUN_TAG = "stackproof.run"
TEXT_TAGS = "stackproof.text."
ARTIFACT_TAGS = "stackproof.artifact."
MODEL_TAG = "stackproof.model"
SYSTEM_TAGS = {"mlflow.runName", "mlflow.user", "mlflow.source.name", "mlflow.source.type"}

NAME_LENGTH = 250
EXPERIMENT_LENGTH = 500
PARAM_LENGTH = 6000
TAG_LENGTH = 8000

_KEY = re.compile(r"[\w.\- :/]")
_MODEL = re.compile(r"[\w.\- ]")
_ALIAS = re.compile(r"[\w\-]")
_RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)
_PATH = re.compile(r"[\w.\- +=,@()]")
_QUOTABLE = re.compile(r"[\w.\- :/@+]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS: Mapping[str, Param] = {"True": True, "False": False, "None": None}

Point = tuple[str, float, int, int]
"""Key, value, instant in milliseconds, step."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Kept:
    """An artifact, and what is needed to fetch it. `files`: how many. `below`: its folder, "" for none."""

    artifact: Artifact
    folder: bool
    files: int
    empty_folders: tuple[str, ...]
    below: str = ""


def to_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """Everything on every page that `ask` gives for the token of the page before, None for the first."""
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


# names


def key_of(what: str, name: str, prefix: str = "") -> str:
    """The key of a parameter, metric or tag. Raises `RefusedInput` for one that is empty or too long."""
    key = escaped(checked_name(what, name), lambda character: not _KEY.fullmatch(character))
    if posixpath.normpath(key) != key or key.startswith(("..", "/")) or key == ".":
        key = escaped(name, lambda character: character in "./" or not _KEY.fullmatch(character))
    return short(what, prefix + key, NAME_LENGTH)


def model_key(name: str) -> str:
    """A registered model's name in MLflow."""
    key = escaped(checked_name("model's name", name), lambda character: not _MODEL.fullmatch(character))
    return short("model's name", escaped_first(key) if key in (".", "..") else key, NAME_LENGTH)


def alias_key(alias: str) -> str:
    """An alias in MLflow, which keeps "latest" and "v1" for itself."""
    key = escaped(checked_name("alias", alias), lambda character: not _ALIAS.fullmatch(character))
    return short("alias", escaped_first(key) if _RESERVED_ALIAS.fullmatch(key) else key, NAME_LENGTH)


def path_key(path: str) -> str:
    """A relative path of an artifact, "/" between its parts."""
    return escaped(path, lambda character: character != "/" and not _PATH.fullmatch(character))


def short(what: str, text: str, length: int) -> str:
    """The text, when MLflow keeps it whole. Raises `RefusedInput`: MLflow itself would cut it."""
    if len(text) > length:
        raise RefusedInput(
            f"The {what} is too long for MLflow", got=f"{len(text)} characters", allowed=f"at most {length} characters"
        )
    return text


def folder_of(name: str) -> str:
    """A folder's name for an experiment, unlike that of any other, in letters that every store takes."""
    readable = re.sub("[^A-Za-z0-9.-]", "_", name)[:40]
    return f"{readable}-{sha256(name.encode()).hexdigest()[:8]}"


def filter_of(tags: Mapping[str, str]) -> str:
    """MLflow's text for runs that have the tags, as far as it can hold them: it has no way to write every value."""
    keys = {key_of("tag's name", name): text for name, text in tags.items()}
    return " and ".join(f"tags.`{key}` = '{text}'" for key, text in keys.items() if _QUOTABLE.fullmatch(text))


# parameters and tags


def param_text(name: str, value: Param) -> str:
    """As Python's `str` has it. Raises `RefusedInput` for what is too long."""
    return short(f"value of the parameter {name!r}", checked_text("parameter", str(value)), PARAM_LENGTH)


def param_value(text: str) -> Param:
    """The value whose text it is: a number, a boolean or None where Python would write one so, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text


def written_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Raises `RefusedInput` for a name that MLflow or this adapter keeps for itself, or a value that is too long."""
    for name in tags:
        if name == RUN_TAG or name in SYSTEM_TAGS or name.startswith((TEXT_TAGS, ARTIFACT_TAGS)):
            raise RefusedInput("That name of a tag is taken", got=name, allowed="any other name")
    return {
        key_of("tag's name", name): short(f"tag {name!r}", checked_text("tag", text), TAG_LENGTH)
        for name, text in tags.items()
    }


def read_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A user's own, by name. Of a run that was not written by Stackproof, MLflow's tags but for the run's name."""
    hidden = SYSTEM_TAGS if RUN_TAG in tags else {"mlflow.runName"}
    return {
        unescaped(key): tags[key]
        for key in sorted(tags)
        if key != RUN_TAG and key not in hidden and not key.startswith((TEXT_TAGS, ARTIFACT_TAGS))
    }


def read_params(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Param]:
    """By name, with their types. Text that looks like another value is marked as text by a tag."""
    return {
        unescaped(key): params[key] if TEXT_TAGS + key in tags else param_value(params[key]) for key in sorted(params)
    }


# metrics


def written_point(metric: Metric) -> Point:
    """Raises `RefusedInput` for what MLflow can't keep."""
    value = float(metric.value)
    if abs(value) == sys.float_info.max:
        raise RefusedInput("MLflow writes infinity as the largest number", got=value, allowed="any other value")
    at = to_ms(metric.at)
    if at < 0:
        raise RefusedInput("MLflow keeps no instant before 1970", got=metric.at, allowed="1970-01-01 and after")
    if not -(2**63) <= metric.step < 2**63:
        raise RefusedInput("A step has 64 bits", got=metric.step, allowed="-2^63 to 2^63 - 1")
    return key_of("metric's name", metric.name), value, at, int(metric.step)


def read_value(value: float) -> float:
    """MLflow keeps infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def read_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """The last value of each, by name."""
    return {unescaped(key): read_value(metrics[key]) for key in sorted(metrics)}


# artifacts


def artifact_tag(name: str) -> str:
    return key_of("artifact's name", name, ARTIFACT_TAGS)


def record_of(content: Content, below: str = "") -> str:
    """What MLflow does not keep of an artifact or model, as a tag's value. `below`: the folder in it, "" for none."""
    record = {
        "digest": content.digest,
        "size": content.size,
        "folder": not content.is_file,
        "files": len(content.files),
        "empty_folders": list(content.empty_folders),
    } | ({"below": below} if below else {})
    return short("list of empty folders", json.dumps(record, ensure_ascii=False), TAG_LENGTH)


def read_record(name: str, text: str) -> Kept:
    record = json.loads(text)
    artifact = Artifact(name, record["digest"], record["size"])
    return Kept(artifact, record["folder"], record["files"], tuple(record["empty_folders"]), record.get("below", ""))


def recorded(tags: Mapping[str, str]) -> dict[str, Kept]:
    """A run's artifacts, by name."""
    found = {unescaped(key.removeprefix(ARTIFACT_TAGS)): tags[key] for key in tags if key.startswith(ARTIFACT_TAGS)}
    return {name: read_record(name, found[name]) for name in sorted(found)}
