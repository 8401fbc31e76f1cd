"""Loading model packages after a trial in another process: a damaged model can end the process that reads it."""

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stackproof.adapters.serving.packages import Package, load
from stackproof.errors import Corrupted, RefusedInput, StackproofError

TRIAL_SECONDS = 60
CLEANLY_REFUSED = 3
SOURCE = Path(__file__).parents[3]
"""The folder that holds `stackproof`, and in an installed one every other package as well."""

TRIAL = """
import sys
from importlib.machinery import PathFinder
class OnlyStackproof:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [sys.argv[1]]) if name == "stackproof" else None
sys.meta_path.insert(0, OnlyStackproof)
from pathlib import Path
from stackproof.adapters.serving.imports import lean_imports
with lean_imports():
    from stackproof.adapters.serving.trial import try_each
    sys.exit(try_each(map(Path, sys.argv[2:])))
"""
"""Run with `-c`, since the environment of a tool does not hold Stackproof: a folder on the path would bring along
whatever is installed beside it."""


def load_safely(folders: Sequence[Path]) -> list[Package]:
    """`load` each, once another process has loaded it and predicted one row.

    Raises `RefusedInput` for a package that cannot be served, `Corrupted` for a damaged one.
    """
    if folders:
        _try_out(folders)
    return [load(folder) for folder in folders]


def _try_out(folders: Sequence[Path]) -> None:
    command = [sys.executable, "-c", TRIAL, str(SOURCE), *map(str, folders)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired as slow:
        raise RefusedInput(
            "Loading the packages and predicting one row took too long",
            got=", ".join(folder.name for folder in folders),
            allowed=f"{TRIAL_SECONDS} s",
        ) from slow
    if ended.returncode not in (0, CLEANLY_REFUSED):
        culprit = folders[min(len(ended.stdout.splitlines()), len(folders) - 1)]
        raise Corrupted(
            f"Reading the model of the package {culprit.name} ended the process that tried",
            got=f"exit status {ended.returncode}",
            next_command="stackproof check",
        )


def try_each(folders: Iterable[Path]) -> int:
    """In the other process: print a line for each package that could be loaded, and stop at the first that could not.

    Returns the exit status.
    """
    for folder in folders:
        try:
            load(folder)
        except StackproofError:
            return CLEANLY_REFUSED
        sys.stdout.write(f"{folder.name}\n")
        sys.stdout.flush()
    return 0
