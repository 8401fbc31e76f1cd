"""Keeping what a server does not need out of its process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOT_NEEDED = ("pandas", "sklearn")


@contextmanager
def lean_imports() -> Iterator[None]:
    """Inside, pandas and scikit-learn look as if not installed, unless they are imported already.

    xgboost imports both where it finds them, for interfaces that a server does not use: 3 of the 4
    seconds of its import. What xgboost has without them stays so for the process; use this only
    in a process that does nothing but serve.
    """
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is Python's own mark for: not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
