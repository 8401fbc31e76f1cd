"""Test the shipped locks: each tool's conformance suites, in an environment made from its lock.

    python -m stackproof.testing.locks [TOOL ...] [--python 3.12]

A lock on which every test passes gets the day as its `tested`, which `apply` goes by. It takes minutes a lock.
Run it in a checkout, since it writes into the package.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

from stackproof.envs.environments import Environments
from stackproof.envs.interpreters import choose_interpreter
from stackproof.envs.locking import SHIPPED, Lock, Locks
from stackproof.envs.relock import PYTHONS, note
from stackproof.errors import StackproofError
from stackproof.usecases.conformance import check_of


def main(arguments: Sequence[str] | None = None) -> int:
    """A line for each lock on standard output, one for each test that failed on standard error.

    Returns the exit code: 1 when a test failed, 2 where there is no such lock.
    """
    parser = argparse.ArgumentParser(prog="python -m stackproof.testing.locks", description="Test the shipped locks.")
    parser.add_argument("tools", nargs="*")
    parser.add_argument("--python", action="append", choices=PYTHONS, dest="pythons")
    given = parser.parse_args(arguments)
    try:
        chosen = list(_chosen(given.tools, given.pythons or PYTHONS))
    except StackproofError as unknown:
        sys.stderr.write(f"Error: {unknown}\n")
        return 2
    if not chosen:
        asked = ", ".join(given.tools)
        sys.stderr.write(f"Error: There is no lock of {asked} for Python {', '.join(given.pythons)}\n")
        return 2
    good = [_tested(lock) for lock in chosen]
    if any(good):
        sys.stderr.write("Next: make docs\n")
    return 0 if all(good) else 1


def _chosen(tools: Sequence[str], pythons: Sequence[str]) -> Iterator[Lock]:
    """Raises `UnknownName` for a tool without a lock."""
    locks = Locks()
    for tool in tools or locks.recipes:
        for python in locks.pythons(tool):
            if python in pythons:
                yield locks.find(tool, python)


def _tested(lock: Lock) -> bool:
    """Whether every test passed; then it is noted."""
    environments, today = Environments(), datetime.now(UTC).date()
    try:
        _, interpreter = choose_interpreter(lock.tool, [lock.python])
        handle = environments.ensure(lock, interpreter)
        with closing(environments.use(handle)):
            found = check_of(lock.tool)(handle)
    except StackproofError as error:
        sys.stderr.write(f"{lock.tool}, Python {lock.python}: {error}\n")
        return False
    for line in found.failed:
        sys.stderr.write(f"{lock.tool}, Python {lock.python}, failed: {line}\n")
    if found.ok:
        note(SHIPPED, lock, imported=today, tested=today)
    sys.stdout.write(f"{lock.tool}, Python {lock.python}: {found.passed} passed, {len(found.failed)} failed\n")
    sys.stdout.flush()
    return found.ok


if __name__ == "__main__":
    sys.exit(main())
