"""Loading model packages in an environment where a program of its own would not see Stackproof."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stackproof.adapters.serving.packages import CLEANLY_REFUSED, TRIAL_SECONDS, Package, load
from stackproof.errors import Corrupted, RefusedInput

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
    from stackproof.adapters.serving.trial import main
    sys.exit(main(map(Path, sys.argv[2:])))
"""
"""Run with `-c`: a folder on the path would bring along whatever is installed beside Stackproof."""


def load_after_trial(folders: Sequence[Path]) -> list[Package]:
    """As `packages.load_safely`: each was read in another process before, since a damaged model can end one.

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
