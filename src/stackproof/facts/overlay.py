"""A folder of the user's own, laid over the facts: the same files, whole or in part.

What it brings replaces what was there, entry by entry, and says in its source that it is the user's:
"yours: <folder>/<file>". The input is never changed. Laying the same folder over twice changes nothing more.
"""

import datetime
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tomli

from stackproof.errors import RefusedInput, did_you_mean
from stackproof.facts.reading import RELEASE
from stackproof.facts.shape import Fault, line_of

Table: TypeAlias = Mapping[str, Any]
Documents: TypeAlias = Mapping[str, Table]

FOLDERS = ("tools", "criteria", "pairs", "migrations", "trees")
FILES = (
    "operation.toml", "scales.toml", "gates.toml", "votes.toml", "sources.toml", "stacks.toml", "contradictions.toml",
    "installs.toml",
)  # fmt: skip
VARIABLE = "STACKPROOF_FACTS"
"""The environment variable that names folders, between them the system's separator of paths."""

IDENTITY: dict[str, tuple[str, ...]] = {
    "criteria": ("id", "role"),
    "classes": ("id",),
    "gates": ("id",),
    "branches": ("id",),
    "stacks": ("id",),
    "contradictions": ("number",),
    "pairs": ("tools",),
    "migrations": ("from", "to"),
    "aspects": ("name",),
    "sources": ("file",),
    "installs": ("tool",),
}
"""List of entries to the keys by which two of them are the same one."""

IN_PART = frozenset({"criteria", "classes"})
"""Entries of which a part may be given; the rest stays. Every other entry is replaced whole."""

RULES = frozenset({"branches", "gates"})
"""Entries whose source is a document of sources.toml."""

CONFIDENCES = ("high", "medium", "low", "not_verified")

UNSIGNED = frozenset({"aspects", "sources", "installs"})
"""Entries that name no source."""


@dataclass(frozen=True, slots=True)
class Laid:
    """The facts' documents with a folder laid over them.

    `texts`: each file of the folder as "acme/tools/wandb.toml" to its text. `touched`: the name of each document
    to hold against its schema now, to the file by which it differs: "tools/wandb.toml" to "acme/tools/wandb.toml".
    A file that brings nothing but a sound release is not among them: a refreshed folder has one for each tool.
    """

    documents: dict[str, dict[str, Any]]
    texts: dict[str, str]
    touched: dict[str, str]


def own_folders(given: Sequence[Path] = (), environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The folders to lay over the facts, in order: the refreshed one where it exists, those of the environment
    variable, those given. A later one wins.

    Raises `RefusedInput` for a name that is no folder.
    """
    named = [Path(text).expanduser() for text in environ.get(VARIABLE, "").split(os.pathsep) if text.strip()]
    for folder in (*named, *given):
        if not folder.is_dir():
            origin = "" if folder in given else f" (from {VARIABLE})"
            raise RefusedInput(
                f"There is no such folder of facts{origin}",
                got=str(folder),
                allowed="a folder with files like those of the facts: tools/<id>.toml, criteria/<role>.toml, ...",
            )
        if not any(folder.rglob("*.toml")):
            raise RefusedInput(
                "A folder of facts holds no facts",
                got=str(folder),
                allowed="files like those of the facts: tools/<id>.toml, criteria/<role>.toml, ...",
            )
    home = refreshed_folder(environ)
    return (*([home] if home.is_dir() else []), *named, *given)


def refreshed_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `stackproof catalog refresh` writes: a folder of the user, which may not exist yet."""
    data = environ.get("XDG_DATA_HOME", "")
    base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "stackproof" / "facts"


def lay_over(documents: Documents, folder: Path) -> Laid:
    """Read the TOML files of `folder` and merge them over `documents`. Files that are not TOML are left alone.

    Raises `RefusedInput` with every fault: file, line where it is found, key, what is allowed.
    """
    name = folder.resolve().name
    texts = _read(folder)
    own: dict[str, Table] = {}
    faults = [f"{name}/{file}: {fault}" for file in texts for fault in _misplaced(file)]
    for file, text in texts.items():
        try:
            own[file] = tomli.loads(text)
        except tomli.TOMLDecodeError as error:
            faults.append(f"{name}/{file}: this is not TOML: {error}")
    if not faults:
        faults = [_told(name, file, texts[file], fault) for file in own for fault in own_faults(file, own[file])]
    if not faults:
        faults = [_told(name, file, texts[file], fault) for file, fault in _homeless(documents, own)]
    if faults:
        raise RefusedInput("Facts of your own have faults", faults=faults, next_command="stackproof catalog check")
    merged = merge(documents, own, name)
    touched = {
        target: f"{name}/{file}"
        for file in own
        if not (file in documents and _only_a_release(own[file]))
        for target in _targets(documents, file, own[file])
    }
    return Laid(merged, {f"{name}/{file}": text for file, text in texts.items()}, touched)


def merge(documents: Documents, own: Documents, name: str) -> dict[str, dict[str, Any]]:
    """`own` over `documents`, both by file name as in the facts' folder. `name`: of the user's folder.

    Pure; `own` has no faults by `own_faults`. Facts of a tool are merged by key, ratings by criterion and role,
    modes replaced when given, entries by `IDENTITY`, other tables key by key.
    """
    merged = {file: dict(document) for file, document in documents.items()}
    for file, document in own.items():
        label = f"yours: {name}/{file}"
        if file.startswith("tools/"):
            merged[file] = _merge_tool(merged.get(file, {}), document, _stem(file), label)
            continue
        for target, part in _targets(merged, file, document).items():
            merged[target] = _merge_document(merged.get(target, {}), part, label)
        if any(kind in document for kind in RULES):
            _register(merged, label, name)
    return merged


def own_faults(file: str, document: Table) -> Iterator[Fault]:
    """What makes a file of the user's unfit for merging, by path."""
    yield from _numbers(document, ())
    if file.startswith("tools/"):
        yield from _tool_faults(document, _stem(file))
        return
    for kind, keys in IDENTITY.items():
        if kind in document:
            yield from _entry_faults(kind, document[kind], tuple(key for key in keys if key != "role"))


# Tools


def _merge_tool(base: Table, own: Table, stem: str, label: str) -> dict[str, Any]:
    cited = {**base.get("sources", {}), **own.get("sources", {})}
    used: dict[str, Table] = {}

    def signed(entry: Table) -> dict[str, Any]:
        source = str(entry.get("source", ""))
        key = _signed(source, label)
        if source in cited:
            used[key] = {**cited[source], "text": _signed(str(cited[source]["text"]), label)}
        return {"confidence": "high", **entry, "source": key}

    parts: dict[str, Any] = {"id": stem, **base, **{k: v for k, v in own.items() if k != "sources"}}
    if "facts" in own:
        newer = {key: fact for key, fact in own["facts"].items() if not _overtaken(key, fact, base)}
        parts["facts"] = {**base.get("facts", {}), **{key: signed(fact) for key, fact in newer.items()}}
    if "modes" in own:
        parts["modes"] = [signed(mode) for mode in own["modes"]]
    if "ratings" in own:
        parts["ratings"] = _merge_ratings(base, [signed(rating) for rating in own["ratings"]])
    if "cautions" in own:
        parts["cautions"] = _merge_cautions(base.get("cautions", ()), own["cautions"], signed)
    if used or "sources" in base:
        parts["sources"] = {**base.get("sources", {}), **used}
    return parts


def _only_a_release(own: Table) -> bool:
    """Whether it needs no schema to see that the file fits it."""
    facts = own.get("facts", {})
    if own.keys() - {"id"} != {"facts"} or facts.keys() != {"release"}:
        return False
    words = {key: value for key, value in facts["release"].items() if key != "date"}
    day = facts["release"].get("date", datetime.date.min)
    return (
        type(day) is datetime.date
        and {"value", "source"} <= words.keys() <= {"value", "source", "confidence", "detail", *RELEASE}
        and all(isinstance(word, str) and word for word in words.values())
        and words.get("confidence", "high") in CONFIDENCES
    )


def _overtaken(key: str, own: Table, base: Table) -> bool:
    """Whether a release was read before the one that is there: a refreshed folder outlives an older package."""
    there = base.get("facts", {}).get(key, {})
    read = there.get("date", base.get("sources", {}).get(there.get("source"), {}).get("date"))
    mine = own.get("date")
    if key != "release" or type(read) is not datetime.date or type(mine) is not datetime.date:
        return False
    return mine < read


def _merge_ratings(base: Table, own: Sequence[Table]) -> list[Table]:
    """A rating without a role replaces all of its criterion; one with a role leaves the other roles theirs."""
    roles = (*base.get("roles", ()), *base.get("parts", ()))
    kept = [dict(rating) for rating in base.get("ratings", ())]
    for rating in own:
        criterion, role = rating["criterion"], rating.get("role", "")
        after: list[dict[str, Any]] = []
        for old in kept:
            if old["criterion"] != criterion:
                after.append(old)
            elif role and not old.get("role"):
                after += [{**old, "role": other} for other in roles if other != role]
            elif role and old.get("role") != role:
                after.append(old)
        kept = after
    return [*kept, *own]


def _merge_cautions(base: Sequence[Table], own: Sequence[Table], signed: Any) -> list[Table]:
    told = {caution["text"] for caution in own}
    new = [{key: value for key, value in signed(caution).items() if key != "confidence"} for caution in own]
    return [*(caution for caution in base if caution["text"] not in told), *new]


# Everything else


def _merge_document(base: Table, own: Table, label: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        old = base.get(key)
        if key in IDENTITY:
            merged[key] = _merge_entries(key, old or (), value, label)
        elif isinstance(value, Mapping):
            merged[key] = _merge_document(old if isinstance(old, Mapping) else {}, value, label)
        else:
            merged[key] = _signed(value, label) if key == "source" else value
    return merged


def _merge_entries(kind: str, base: Sequence[Table], own: Sequence[Table], label: str) -> list[Table]:
    merged = {_identity(kind, entry): entry for entry in base}
    for entry in own:
        same = _identity(kind, entry)
        merged[same] = _merge_entry(kind, merged.get(same, {}), entry, label)
    return list(merged.values())


def _merge_entry(kind: str, base: Table, own: Table, label: str) -> Table:
    if kind in UNSIGNED:
        return own
    if kind in RULES:
        place = ": ".join(str(own[key]) for key in ("source", "place") if own.get(key))
        return {**own, "source": label, "place": place or "a rule of your own"}
    if kind == "contradictions":
        sources = own.get("sources", ())
        return {**own, "sources": [*sources, label]}
    if kind not in IN_PART:
        confidence = {"confidence": "high"} if kind == "pairs" else {}
        return {**confidence, **own, "source": _signed(str(own.get("source", "")), label)}
    source = str(own.get("source", base.get("source", "")))
    merged = {**base, **own, "source": _signed(source, label)}
    if "weight" in own and "changes" not in own:
        merged.pop("changes", None)
    return merged


def _register(merged: dict[str, dict[str, Any]], label: str, name: str) -> None:
    """A document of sources.toml for rules of the user's own."""
    document = merged.get("sources.toml", {})
    known = document.get("sources", ())
    if all(source["file"] != label for source in known):
        own = {"file": label, "title": f"Rules of your own, {name}"}
        merged["sources.toml"] = {**document, "sources": [*known, own]}


def _targets(documents: Documents, file: str, own: Table) -> dict[str, Table]:
    """The documents that `own` is to be merged into, each with its part: an entry goes where the same one is."""
    folder = file.partition("/")[0]
    if folder not in ("criteria", "pairs"):
        return {file: _with_role(own, file) if folder == "trees" else own}
    homes = {
        _identity(folder, entry): name
        for name, document in documents.items()
        if name.startswith(f"{folder}/")
        for entry in document.get(folder, ())
    }
    found: dict[str, dict[str, Any]] = {}
    for entry in own.get(folder, ()):
        if folder == "criteria":
            entry = _with_role(entry, file)
        target = found.setdefault(homes.get(_identity(folder, entry), file), {folder: []})
        target[folder].append(entry)
    rest = {key: value for key, value in own.items() if key != folder}
    if rest:
        found[file] = {**rest, **found.get(file, {})}
    return dict(found)


def _with_role(table: Table, file: str) -> Table:
    return table if _stem(file) == "common" or "role" in table else {"role": _stem(file), **table}


def _homeless(documents: Documents, own: Documents) -> Iterator[tuple[str, Fault]]:
    """Parts of a criterion of one role where that criterion is one of all roles."""
    known = {
        _identity("criteria", entry)
        for name, document in documents.items()
        if name.startswith("criteria/")
        for entry in document.get("criteria", ())
    }
    for file, document in own.items():
        for number, entry in enumerate(document.get("criteria", ()) if file.startswith("criteria/") else ()):
            role = _with_role(entry, file).get("role", "")
            if role and (entry["id"], role) not in known and (entry["id"], "") in known:
                text = f"{entry['id']!r} is a criterion of every role. Allowed: in criteria/common.toml, without a role"
                yield file, Fault(("criteria", number, "id"), text)


def _identity(kind: str, entry: Table) -> object:
    values = tuple(entry.get(key, "") for key in IDENTITY[kind])
    return frozenset(values[0]) if kind == "pairs" else values


def _signed(text: str, label: str) -> str:
    if not text:
        return label
    return text if label in text else f"{text} ({label})"


def _stem(file: str) -> str:
    return Path(file).stem


# Reading and faults


def _read(folder: Path) -> dict[str, str]:
    try:
        files = sorted(folder.rglob("*.toml"))
        return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in files}
    except OSError as error:
        raise RefusedInput("A file of facts can't be read", got=f"{error.filename}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RefusedInput("A file of facts is not UTF-8", got=f"{folder}: {error}") from error


def _misplaced(file: str) -> Iterator[str]:
    folder, _, rest = file.rpartition("/")
    if folder and folder not in FOLDERS:
        yield f"there is no folder {folder!r}{did_you_mean(folder, FOLDERS)}. Allowed: {', '.join(FOLDERS)}"
    elif not folder and file not in FILES:
        near = did_you_mean(file, FILES)
        yield f"this file can't be laid over the facts{near}. Allowed: {', '.join(FILES)}, or a file in a folder"
    elif not rest.removesuffix(".toml"):
        yield "the file has no name"


def _told(name: str, file: str, text: str, fault: Fault) -> str:
    line = line_of(text, fault.path)
    return f"{name}/{file}{f', line {line}' if line else ''}: {fault}"


def _tool_faults(document: Table, stem: str) -> Iterator[Fault]:
    if document.get("id", stem) != stem:
        yield Fault(("id",), f"got {document['id']!r}. Allowed: {stem!r}, as the file is named")
    for key in ("facts", "sources"):
        table = document.get(key, {})
        if not isinstance(table, Mapping) or not all(isinstance(entry, Mapping) for entry in table.values()):
            yield Fault((key,), f"got {table!r}. Allowed: tables, [{key}.<name>]")
        elif key == "sources":
            yield from (Fault((key, name), "the key 'text' is missing") for name in table if "text" not in table[name])
    for key, needed in (("modes", ()), ("ratings", ("criterion",)), ("cautions", ("text",))):
        if key in document:
            yield from _entry_faults(key, document[key], needed)


def _entry_faults(kind: str, entries: object, needed: Sequence[str]) -> Iterator[Fault]:
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        yield Fault((kind,), f"got {entries!r}. Allowed: a list of tables, [[{kind}]]")
        return
    seen: set[object] = set()
    for number, entry in enumerate(entries):
        missing = [key for key in needed if key not in entry]
        yield from (Fault((kind, number), f"the key {key!r} is missing") for key in missing)
        if not missing and kind in IDENTITY:
            yield from _same_faults(kind, number, entry, seen)


def _same_faults(kind: str, number: int, entry: Table, seen: set[object]) -> Iterator[Fault]:
    key = IDENTITY[kind][0]
    if kind == "pairs" and not _is_pair(entry["tools"]):
        yield Fault((kind, number, key), f"got {entry['tools']!r}. Allowed: a list of two tools")
        return
    if kind != "pairs" and any(isinstance(entry.get(each), list | Mapping) for each in IDENTITY[kind]):
        yield Fault((kind, number, key), f"got {entry[key]!r}. Allowed: a single value")
        return
    same = _identity(kind, entry)
    if same in seen:
        yield Fault((kind, number, key), f"{entry[key]!r} stands here twice")
    seen.add(same)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(tool, str) for tool in value)


def _numbers(value: object, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """Numbers that no comparison can judge: TOML allows nan and inf."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, (*path, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _numbers(item, (*path, number))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, f"got {value}. Allowed: a finite number")
