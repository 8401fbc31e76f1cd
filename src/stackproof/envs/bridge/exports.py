"""What of this process the other one may refer to, by number, until it says that it no longer does."""

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from itertools import count

from stackproof.envs.bridge.calls import Pending
from stackproof.envs.bridge.remotes import IteratorHost
from stackproof.errors import NotFound


@dataclass(frozen=True, slots=True)
class Export:
    """`names`: the methods that may be called. `within`: the call that carried it, whose thread may serve it.

    `context`: the context variables that held when it was given.
    """

    value: object
    names: frozenset[str]
    within: Pending | None
    context: Context


class Exports:
    """Numbered from 1; 0 is what the process offers from its start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._kept: dict[int, Export] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, value: object, names: frozenset[str], within: Pending | None, number: int | None = None) -> int:
        with self._lock:
            number = next(self._numbers) if number is None else number
            self._kept[number] = Export(value, names, within, copy_context())
            return number

    def get(self, number: int) -> Export:
        """Raises `NotFound` for what was dropped, which a peer that works never asks for."""
        found = self._kept.get(number)
        if found is None:
            raise NotFound("The other side of the bridge asks for an object that it gave up", got=f"number {number}")
        return found

    def drop(self, number: int) -> Callable[[], None] | None:
        """Returns what is left to do for it, if anything: a generator that nobody reads any more is closed."""
        with self._lock:
            dropped = self._kept.pop(number, None)
        return dropped.value.close if dropped is not None and isinstance(dropped.value, IteratorHost) else None
