"""Make locks: resolve a tool's requirements anew. Run as a program it makes the shipped ones:

python -m stackproof.envs.relock [TOOL ...] [--python 3.12]
"""

import argparse
import datetime
import fcntl
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stackproof.envs.locking import INDEX, SHIPPED, Lock, Locks, Recipe, digest_of, minor, requirements_of, this_system
from stackproof.envs.uv import failure, run_uv
from stackproof.errors import Corrupted, StackproofError

PYTHONS = ("3.11", "3.12", "3.13")
OLDEST_LINUX = "x86_64-manylinux_2_28"
"""What a shipped Linux lock must install on: glibc 2.28, of 2018."""

RESOLVING_S = 300.0
HEADER = """\
# Written by `python -m stackproof.envs.relock`: the locks beside it, and what is known of each.
# `imported`: the day on which an environment made from it was last installed and imported.
# `tested`: the day on which the tool's conformance suite last passed in one. Absent: not yet.
"""


def resolve_lock(recipe: Recipe, python: str, today: datetime.date, *, platform: str = "") -> Lock:
    """A lock of the newest releases that fit together on one minor version of Python, for this system.

    `platform`: uv's name of an older one to resolve for. The lock holds the digests of the wheels that fit, or of
    the source where no wheel does. Raises `Unavailable` when the package index can't be reached or nothing fits.
    """
    asked = requirements_of(recipe)
    command = ["pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml", "--python-version", python]
    command += ["--python-platform", platform] if platform else []
    ran = run_uv([*command, "-"], cwd=Path("/"), given="\n".join(asked) + "\n", limit_s=RESOLVING_S)
    if not ran.good:
        raise failure(ran, f"No versions of {recipe.tool} could be found that fit together on Python {python}")
    packages = tomllib.loads(ran.printed)["packages"]
    return Lock(
        tool=recipe.tool,
        python=python,
        system=this_system(),
        text="".join(_line(package) for package in sorted(packages, key=lambda package: package["name"])),
        requirements=tuple(asked),
        imports=recipe.imports,
        locked=today,
    )


def _line(package: Mapping[str, Any]) -> str:
    """One requirement with the digests of what may be installed for it."""
    if "version" not in package:
        raise Corrupted(
            f"The distribution {package['name']} comes from no package index",
            allowed="releases, so that each file has a digest",
        )
    files = package.get("wheels") or [package["sdist"]]
    digests = sorted({file["hashes"]["sha256"] for file in files})
    return f"{package['name']}=={package['version']}" + "".join(f" \\\n    --hash=sha256:{d}" for d in digests) + "\n"


def write_lock(lock: Lock, folder: Path) -> str:
    """Put a lock beside the shipped ones; what was known of another text under its name is forgotten."""
    name = f"{lock.tool}-py{lock.python}.txt"
    (folder / name).write_text(lock.text, encoding="utf-8")
    entry: dict[str, Any] = {"tool": lock.tool, "python": lock.python, "system": lock.system}
    entry |= {"file": name, "digest": lock.digest, "packages": len(lock.pins), "locked": lock.locked}
    entries = [e for e in _entries(folder) if (e["tool"], e["python"]) != (lock.tool, lock.python)]
    _write(folder, [*entries, entry])
    return name


def note(folder: Path, lock: Lock, **days: datetime.date) -> None:
    """Write down the day on which a shipped lock was `imported` or `tested`. Several processes may at once."""
    with (folder / INDEX).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        entries = _entries(folder)
        for entry in entries:
            if (entry["tool"], entry["python"], entry["digest"]) == (lock.tool, lock.python, digest_of(lock.text)):
                entry |= days
        _write(folder, entries)


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / INDEX
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["locks"] if path.exists() else []
    return found


def _write(folder: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    import tomli_w

    ordered = sorted(entries, key=lambda entry: (entry["tool"], minor(entry["python"])))
    (folder / INDEX).write_text(HEADER + "\n" + tomli_w.dumps({"locks": ordered}), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Resolve anew and write; a tool that does not resolve keeps its lock, and the exit code is 1."""
    parser = argparse.ArgumentParser(prog="python -m stackproof.envs.relock", description="Make the shipped locks.")
    parser.add_argument("tools", nargs="*")
    parser.add_argument("--python", action="append", choices=PYTHONS, dest="pythons")
    given = parser.parse_args(arguments)
    locks, today, failed = Locks(), datetime.datetime.now(datetime.UTC).date(), 0
    for recipe in [locks.recipe(tool) for tool in given.tools] or locks.recipes.values():
        for python in given.pythons or PYTHONS:
            try:
                lock = resolve_lock(recipe, python, today, platform=OLDEST_LINUX)
            except StackproofError as error:
                failed += 1
                sys.stderr.write(f"{recipe.tool}, Python {python}: {error}\n")
                continue
            sys.stdout.write(f"{write_lock(lock, SHIPPED)}: {len(lock.pins)} packages\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
