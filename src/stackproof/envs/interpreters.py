"""The Python interpreters of this machine. None is ever downloaded."""

import json
import os
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

from stackproof.envs.locking import minor
from stackproof.envs.uv import run_uv
from stackproof.errors import NotFound

LISTING_S = 60.0


@cache
def interpreters() -> dict[str, Path]:
    """Minor version to an interpreter: this process's own, then those that uv finds, then those that pyenv keeps.

    CPython alone, with its global lock, for this machine's processor. Asked once in a process.
    """
    return {**of_pyenv(), **_of_uv(), **_of_this_process()}


def choose_interpreter(
    tool: str, locked: Sequence[str], python: str = "", preferred: Collection[str] = ()
) -> tuple[str, Path]:
    """The minor version and its interpreter: `python` when given, else the newest that has a lock and is here.

    `preferred`: versions that go before all others. Raises `NotFound` that names the versions that would do.
    """
    found = interpreters()
    newest_first = sorted(locked, key=lambda version: (version in preferred, minor(version)), reverse=True)
    wanted = [python] if python else newest_first
    for version in wanted:
        if version in found and version in locked:
            return version, found[version]
    raise NotFound(
        f"There is no Python for {tool} on this machine",
        got=f"{', '.join(sorted(found, key=minor)) or 'none'} found" + (f", {python} asked for" if python else ""),
        allowed="Python " + " or ".join(sorted(locked, key=minor)),
        next_command=f"uv python install {max(locked, key=minor)}" if locked else "uv python list",
    )


def of_pyenv(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Those in pyenv's folder of versions, which is on no path; of each minor version the newest."""
    root = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for folder in (root / "versions").glob("3.*"):
        parts = folder.name.split(".")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            continue  # a pre-release, a free-threaded build or a virtual environment
        version, patch = ".".join(parts[:2]), minor(folder.name)
        program = folder / "bin" / f"python{version}"
        if program.exists() and patch > found.get(version, ((), program))[0]:
            found[version] = patch, program
    return {version: program for version, (_, program) in found.items()}


def _of_uv() -> dict[str, Path]:
    ran = run_uv(
        ["python", "list", "--offline", "--only-installed", "--output-format", "json", "--no-config"],
        cwd=Path("/"),
        limit_s=LISTING_S,
    )
    found: dict[str, Path] = {}
    for entry in json.loads(ran.printed) if ran.good else ():
        if entry["implementation"] == "cpython" and entry["variant"] == "default" and not _prerelease(entry["version"]):
            version = f"{entry['version_parts']['major']}.{entry['version_parts']['minor']}"
            found.setdefault(version, Path(entry["path"]))
    return found


def _prerelease(version: str) -> bool:
    return not all(part.isdigit() for part in version.split("."))


def _of_this_process() -> dict[str, Path]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(sys.base_prefix) / "bin" / f"python{version}"
    usual = platform.python_implementation() == "CPython" and sys.version_info.releaselevel == "final"
    return {version: program} if usual and program.exists() else {}
