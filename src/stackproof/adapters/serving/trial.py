"""Run as a module with package folders: loads each and predicts one row, in a process of its own.

Prints a line for each package that could be loaded, and stops at the first that could not.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from stackproof.adapters.serving.packages import CLEANLY_REFUSED, load
from stackproof.errors import StackproofError

_NOT_NEEDED_BY_XGBOOST = ("pandas", "sklearn")
"""xgboost imports these where they are installed, which takes three times as long as the trial."""


def main(folders: Iterable[Path]) -> int:
    for name in _NOT_NEEDED_BY_XGBOOST:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say: not installed
    for folder in folders:
        try:
            load(folder)
        except StackproofError:
            return CLEANLY_REFUSED
        sys.stdout.write(f"{folder.name}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(map(Path, sys.argv[1:])))
