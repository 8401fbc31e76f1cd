"""Locks: which distributions make up a tool's environment, each with the digests of its files.

A lock is for one tool, one minor version of Python and one system. The shipped ones lie in `locks/`; those that an
upgrade made and a check accepted lie in the user's data folder and go before them.
"""

import datetime
import hashlib
import json
import platform
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from stackproof.errors import Corrupted, NotFound, RefusedInput, UnknownName
from stackproof.store.files import make_folders, write_durably

SHIPPED = Path(__file__).parent / "locks"
INDEX = "locks.toml"
TOOLS = "tools.toml"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a tool's lock is resolved from. `also`: what the tool needs and does not say, or its adapter needs.

    `imports`: modules that must import before an environment is put in use.
    """

    tool: str
    requirements: tuple[str, ...]
    also: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """`text`: requirement lines with hashes, in pip's format. `python`: "3.12". `system`: processor and system.

    `locked`: the day on which it was resolved; `imported`: on which an environment made from it last imported;
    `tested`: on which the tool's conformance suite last passed in one. None: not yet. `own`: made by an upgrade here.
    """

    tool: str
    python: str
    system: str
    text: str
    requirements: tuple[str, ...]
    imports: tuple[str, ...]
    locked: datetime.date
    imported: datetime.date | None = None
    tested: datetime.date | None = None
    own: bool = False

    @property
    def digest(self) -> str:
        return digest_of(self.text)

    @property
    def key(self) -> str:
        """The name of its environment's folder: the same for equal locks, whatever the tool is called."""
        content = hashlib.sha256(f"{self.system}\n{self.python}\n{self.text}".encode()).hexdigest()
        return f"py{self.python}-{content[:16]}"

    @property
    def pins(self) -> dict[str, str]:
        """Distribution to version, in the lock's order."""
        return dict(PIN.findall(self.text))

    @property
    def standing(self) -> str:
        """What is known of it, in words, with the day."""
        if self.tested is not None:
            return f"conformance suite passed {self.tested}"
        if self.imported is not None:
            return f"installed and imported {self.imported}"
        return f"resolved {self.locked}, not tried yet"


@cache
def locked_tools() -> frozenset[str]:
    """The tools that have an environment of their own."""
    return frozenset(Locks().recipes)


def this_system() -> str:
    """ "x86_64 Linux"."""
    return f"{platform.machine()} {platform.system()}"


def digest_of(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def minor(python: str) -> tuple[int, ...]:
    """ "3.12" as (3, 12), so that versions can be put in order."""
    return tuple(int(part) for part in python.split("."))


@dataclass(frozen=True)
class Locks:
    """Finds locks. `own`: the folder of the accepted ones, which need not exist; None for the shipped ones alone."""

    own: Path | None = None
    shipped: Path = SHIPPED
    system: str = field(default_factory=this_system)

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Tool to what its lock is resolved from."""
        document = _toml(self.shipped / TOOLS)
        return {entry["tool"]: Recipe(**_tuples(entry)) for entry in document.get("tools", ())}

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Mapping[str, Any]]:
        entries = _toml(self.shipped / INDEX).get("locks", ())
        return {(entry["tool"], entry["python"], entry["system"]): entry for entry in entries}

    def recipe(self, tool: str) -> Recipe:
        """Raises `UnknownName` for a tool that has no environment of its own."""
        if tool not in self.recipes:
            raise UnknownName("tool with a lock", tool, self.recipes, next_command="stackproof catalog")
        return self.recipes[tool]

    def pythons(self, tool: str) -> tuple[str, ...]:
        """The minor versions for which there is a lock on this system, newest first. Raises `UnknownName`."""
        self.recipe(tool)
        found = {python for name, python, system in self._index if (name, system) == (tool, self.system)}
        if self.own is not None:
            found |= {path.stem.rpartition("-py")[2] for path in self.own.glob(f"{tool}-py*.json")}
        return tuple(sorted(found, key=minor, reverse=True))

    def find(self, tool: str, python: str) -> Lock:
        """The lock to install from: an accepted one, else the shipped one.

        Raises `UnknownName` for the tool, `NotFound` for a Python version or system without a lock, `Corrupted` for
        a shipped lock that differs from its digest, `RefusedInput` for an accepted one that can't be read.
        """
        if python not in self.pythons(tool):
            raise NotFound(
                f"There is no lock of {tool} for Python {python} on {self.system}",
                allowed=", ".join(self.pythons(tool)) or "none for this system",
                next_command=f"stackproof apply --upgrade {tool}",
            )
        return self._accepted(tool, python) or self.shipped_lock(tool, python)

    def shipped_lock(self, tool: str, python: str) -> Lock:
        """Raises `Corrupted`, and `NotFound` where Stackproof brings none."""
        entry = self._index.get((tool, python, self.system))
        if entry is None:
            raise NotFound(f"Stackproof brings no lock of {tool} for Python {python} on {self.system}")
        path = self.shipped / entry["file"]
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if digest_of(text) != entry["digest"]:
            raise Corrupted(
                f"The lock {path.name} differs from its digest",
                got=digest_of(text) if text else "no such file",
                allowed=entry["digest"],
                next_command="pip install --force-reinstall stackproof",
            )
        recipe = self.recipe(tool)
        return Lock(
            tool=tool,
            python=python,
            system=self.system,
            text=text,
            requirements=(*recipe.requirements, *recipe.also),
            imports=recipe.imports,
            locked=entry["locked"],
            imported=entry.get("imported"),
            tested=entry.get("tested"),
        )

    def accept(self, lock: Lock) -> Path:
        """Keep a lock as the user's own, durably; it goes before the shipped one from now on."""
        assert self.own is not None, "these locks have no folder of the user's"
        make_folders(self.own)
        path = self._path(lock.tool, lock.python)
        write_durably(path, json.dumps(as_document(replace(lock, own=True)), indent=1).encode())
        return path

    def _accepted(self, tool: str, python: str) -> Lock | None:
        path = self._path(tool, python)
        if self.own is None or not path.exists():
            return None
        try:
            lock = from_document(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as broken:
            raise RefusedInput(
                f"The accepted lock of {tool} can't be read",
                got=f"{path}: {broken}",
                allowed="a file that only Stackproof writes; without it the shipped lock is taken",
                next_command=f"rm '{path}'",
            ) from broken
        return lock if lock.system == self.system else None

    def _path(self, tool: str, python: str) -> Path:
        return (self.own or Path()) / f"{tool}-py{python}.json"


def as_document(lock: Lock) -> dict[str, Any]:
    """The lock with its digest, as JSON can say it."""
    plain = {key: str(v) if isinstance(v, datetime.date) else v for key, v in asdict(lock).items()}
    return plain | {"digest": lock.digest}


def from_document(document: Mapping[str, Any]) -> Lock:
    """What `as_document` made. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    given = {key: value for key, value in document.items() if key != "digest"}
    for day in ("locked", "imported", "tested"):
        given[day] = None if given[day] is None else datetime.date.fromisoformat(given[day])
    lock = Lock(**_tuples(given))
    if lock.digest != document["digest"]:
        raise ValueError("its text differs from its digest")
    return lock


def changes(before: Lock, after: Lock) -> list[tuple[str, str, str]]:
    """Distribution, version before and after, "" where it is not in one; sorted by name."""
    old, new = before.pins, after.pins
    return [(n, old.get(n, ""), new.get(n, "")) for n in sorted({*old, *new}) if old.get(n) != new.get(n)]


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def requirements_of(recipe: Recipe) -> Sequence[str]:
    """All that is asked of the resolver."""
    return (*recipe.requirements, *recipe.also)
