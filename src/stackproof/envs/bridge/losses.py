"""What a child had accepted and not made durable when it died: said once, by the next call that would promise it."""

import threading
from collections.abc import Mapping
from typing import Any

from stackproof.envs.bridge.contracts import Contract
from stackproof.errors import StorageFailed


class Losses:
    """Follows the calls of one bridge. Things are named by the first argument of the calls, such as a run."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._lock = threading.Lock()
        self._open: set[object] = set()
        self._lost: set[object] = set()

    def before(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raises `StorageFailed` where the call would promise that something lost is durable."""
        if method not in self._contract.settles:
            return
        with self._lock:
            lost = self._settled(self._lost, args, kwargs)
            self._lost -= lost
        if lost:
            raise StorageFailed(
                "What was accepted and not yet durable was lost when the child process died",
                got=", ".join(sorted(str(thing) for thing in lost)),
                allowed="write it again, then flush",
            )

    def after(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """The call returned."""
        with self._lock:
            if method in self._contract.accepts:
                self._open.add(_first(args, kwargs))
            elif method in self._contract.settles:
                self._open -= self._settled(self._open, args, kwargs)

    def died(self) -> None:
        with self._lock:
            self._lost |= self._open
            self._open.clear()

    def _settled(self, things: set[object], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> set[object]:
        first = _first(args, kwargs)
        return set(things) if first is None else things & {first}


def _first(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    return args[0] if args else next(iter(kwargs.values()), None)
