"""Run as a module with package folders: loads each and predicts one row, in a process of its own.

Prints a line for each package that could be loaded, and stops at the first that could not.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from stackproof.adapters.serving.imports import lean_imports
from stackproof.adapters.serving.packages import CLEANLY_REFUSED, load
from stackproof.errors import StackproofError


def main(folders: Iterable[Path]) -> int:
    for folder in folders:
        try:
            load(folder)
        except StackproofError:
            return CLEANLY_REFUSED
        sys.stdout.write(f"{folder.name}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    with lean_imports():
        sys.exit(main(map(Path, sys.argv[1:])))
