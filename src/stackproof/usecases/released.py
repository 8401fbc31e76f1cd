"""A release fact of a tool held against what a package index says, and written into its file.

A release fact may tell of several packages ("0.9.6 / 0.13.0") and of parts that no index has ("8.1.0 (client);
server 8.10"). Only the words about a package are replaced; what a person wrote around them stays.
"""

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from stackproof.errors import RefusedInput
from stackproof.facts.model import Fact
from stackproof.facts.reading import RELEASE
from stackproof.usecases.package_index import Published

BETWEEN = re.compile(r"(\s+/\s+|;\s+)")
VERSION = re.compile(r"\d+(?:\.\w+)+")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
LINES = re.compile(r"[^\n]*\n|[^\n]+")
"""Lines as TOML has them, with their ends: other characters that end lines may stand in its texts."""

OURS = frozenset({"client", "lib", "sdk", "wrapper"})
THEIRS = "server"
"""Words that say which part of a product a version is of; no index has a server."""

NONE_DECLARED = "none declared"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a release fact says of one package. `label`: what stands in brackets after its name. Each text "" where
    nothing is recorded; `python` None where it is a person's words, which no index can confirm."""

    package: str
    label: str
    version: str
    released: str
    python: str | None
    licence: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing about a release that is another now. `fact`: version, released, python or licence."""

    tool: str
    package: str
    fact: str
    was: str
    now: str


def recorded(fact: Fact) -> tuple[Recorded, ...]:
    """The packages of a release fact, in its order; none where it names no package."""
    named = [_named(text) for text in _parts(fact.more.get("package", ""))]
    return tuple(
        Recorded(
            package=package,
            label=label,
            version=_token(str(fact.value), VERSION, label, number, len(named)),
            released=_token(fact.more.get("released", ""), DAY, label, number, len(named)),
            python=_python(fact.more.get("python", ""), label, number, len(named)),
            licence=_part(fact.more.get("licence", ""), label, number, len(named)),
        )
        for number, (package, label) in enumerate(named)
    )


def changes(tool: str, known: Recorded, found: Published) -> list[Change]:
    """What the index says otherwise than recorded. A licence that was never recorded is no change."""
    now = {"version": found.version, "released": _iso(found.released), "python": _ordered(found.python)}
    was = {"version": known.version, "released": known.released, "python": known.python or ""}
    same = {
        "version": _same_version(known.version, found.version),
        "released": not found.released or known.released == now["released"],
        "python": known.python is None or _same_python(known.python, found.python),
    }
    found_changes = [Change(tool, known.package, fact, was[fact], now[fact]) for fact in now if not same[fact]]
    if known.licence and found.licence and known.licence != found.licence:
        found_changes.append(Change(tool, known.package, "licence", known.licence, found.licence))
    return found_changes


def older_than_recorded(known: Recorded, found: Published) -> bool:
    """Whether the index offers less than is recorded, though what is recorded was not withdrawn."""
    try:
        return Version(known.version) > Version(found.version) and known.version not in found.withdrawn
    except InvalidVersion:
        return False


def release_table(fact: Fact, answers: Mapping[str, Published]) -> dict[str, str]:
    """The keys value, released, python and licence of the fact as the index knows them now.

    `answers`: every package of the fact to what was found of it.
    """
    packages = recorded(fact)
    table = {"value": str(fact.value), **{key: fact.more[key] for key in RELEASE if key in fact.more}}
    for number, known in enumerate(packages):
        found, place = answers[known.package], (known.label, number, len(packages))
        table["value"] = _put(table["value"], VERSION, found.version, *place)
        if found.released:
            table["released"] = _put(table.get("released", ""), DAY, _iso(found.released), *place)
        if known.python is not None and not _same_python(known.python, found.python):
            text = _ordered(found.python) or NONE_DECLARED
            table["python"] = _put(table.get("python", ""), None, text, *place)
    licences = [answers[known.package].licence or known.licence for known in packages]
    if "licence" in RELEASE and all(licences):
        table["licence"] = " / ".join(dict.fromkeys(licences))
    return table


def with_release(text: str, values: Mapping[str, str | datetime.date], file: str) -> str:
    """The TOML `text` with these keys of [facts.release] set; every other byte stays. A table that is not there is
    added at the end.

    Raises `RefusedInput` when the file is written in a way in which that can't be done.
    """
    lines = LINES.findall(text)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    start = next((n for n, line in enumerate(lines) if line.split("#")[0].strip() == "[facts.release]"), None)
    if start is None:
        written = [_assignment(key, value) + end for key, value in values.items()]
        gap = [] if not text.strip() else [end] if text.endswith("\n") else [end, end]
        edited = "".join([*lines, *gap, f"[facts.release]{end}", *written])
    else:
        stop = next((n for n in range(start + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
        edited = "".join([*lines[: start + 1], *_set(lines[start + 1 : stop], values, end), *lines[stop:]])
    _check(text, edited, values, file)
    return edited


def _set(block: Sequence[str], values: Mapping[str, str | datetime.date], end: str) -> list[str]:
    """Keys that stand there are replaced where they stand; the others follow the last line that says something."""
    left = dict(values)
    lines = []
    for line in block:
        key = line.partition("=")[0].strip()
        lines.append(_assignment(key, left.pop(key)) + end if key in left else line)
    filled = max((n + 1 for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), default=0)
    if filled and left and not lines[filled - 1].endswith("\n"):
        lines[filled - 1] += end
    return [*lines[:filled], *(_assignment(key, value) + end for key, value in left.items()), *lines[filled:]]


def _check(before: str, after: str, values: Mapping[str, object], file: str) -> None:
    """The edit is by lines: this says that it did what was meant and nothing else."""
    expected = tomllib.loads(before)
    try:
        facts = expected.setdefault("facts", {})
        facts["release"] = {**facts.get("release", {}), **values}
        done = tomllib.loads(after) == expected
    except (tomllib.TOMLDecodeError, TypeError, AttributeError):
        done = False
    if not done:
        raise RefusedInput(
            "The release in this file can't be replaced",
            got=file,
            allowed="a table [facts.release] with one key on each line",
        )


def _assignment(key: str, value: str | datetime.date) -> str:
    import tomli_w

    return tomli_w.dumps({key: value}).rstrip("\n")


def _named(text: str) -> tuple[str, str]:
    package, _, label = text.partition(" (")
    return package.strip(), label.rstrip(") ")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in BETWEEN.split(text)[::2] if part.strip()]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def _place(pieces: Sequence[str], label: str, number: int, count: int) -> int | None:
    """Which piece is about the package: by position where each has one, by its label, else one that names no other."""
    if count > 1:
        return number if len(pieces) == count else None
    own = _words(label) & OURS or OURS
    labelled = [n for n, piece in enumerate(pieces) if own & _words(piece)]
    free = [n for n, piece in enumerate(pieces) if THEIRS not in _words(piece)]
    return next(iter((*labelled, *free)), None)


def _part(text: str, label: str, number: int, count: int) -> str:
    pieces = BETWEEN.split(text)[::2]
    place = _place(pieces, label, number, count)
    return pieces[place].strip() if place is not None else ""


def _token(text: str, pattern: re.Pattern[str], label: str, number: int, count: int) -> str:
    found = pattern.search(_part(text, label, number, count))
    return found.group() if found else ""


def _python(text: str, label: str, number: int, count: int) -> str | None:
    part = _part(text, label, number, count)
    if text and not part:
        return None
    stated = part.partition(" (")[0]
    if not part or stated.startswith((NONE_DECLARED, "not read")) or "classifiers" in stated:
        return ""
    try:
        SpecifierSet(stated)
    except InvalidSpecifier:
        return None
    return stated


def _put(text: str, pattern: re.Pattern[str] | None, new: str, label: str, number: int, count: int) -> str:
    """`text` with `new` for what the pattern finds in the package's piece, or for all of that piece."""
    pieces = BETWEEN.split(text) if text else []
    place = _place(pieces[::2], label, number, count)
    if place is None:
        added = f"{new} ({label})" if label else new
        return f"{text}; {added}" if text else added
    old = pieces[2 * place]
    if pattern is None:
        kept = f" ({label})" if label and f"({label}" in old else ""
        pieces[2 * place] = f"{new}{kept}"
    else:
        pieces[2 * place] = pattern.sub(lambda _: new, old, count=1) if pattern.search(old) else new
    return "".join(pieces)


def _ordered(python: str) -> str:
    """The specifiers from the lowest bound to the highest, exclusions between them."""
    try:
        each = [str(specifier) for specifier in SpecifierSet(python)]
    except InvalidSpecifier:
        return python
    return ",".join(sorted(each, key=lambda text: ("<" in text, "!" in text, text)))


def _same_python(one: str, other: str) -> bool:
    try:
        return SpecifierSet(one) == SpecifierSet(other)
    except InvalidSpecifier:
        return one == other


def _same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _iso(day: datetime.date | None) -> str:
    return day.isoformat() if day else ""
