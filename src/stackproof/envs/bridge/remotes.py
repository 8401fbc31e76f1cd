"""Stand-ins for what stayed in the other process: functions, iterators, tables, and objects that keep a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from stackproof.envs.bridge import tables
from stackproof.envs.bridge.contracts import members, protocols_near
from stackproof.errors import RefusedInput
from stackproof.roles.table import Table

if TYPE_CHECKING:
    from stackproof.envs.bridge.peer import Peer

TAKE = 64


class Remote:
    """Bound to one process and gone with it. What it stands for is kept there until this is collected."""

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def __del__(self) -> None:
        self._peer.drop(self._number)

    def number_on(self, peer: Peer) -> int | None:
        """Its number when it belongs to the other side of that peer."""
        return self._number if self._peer is peer else None


class RemoteCallable(Remote):
    """A function."""

    __name__ = "bridged"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._peer.call(self._number, "__call__", args, kwargs)


class RemoteIterator(Remote):
    """An iterator; items come in lots of at most `TAKE`. Closed, or no longer referred to, it ends over there too."""

    def __init__(self, peer: Peer, number: int) -> None:
        super().__init__(peer, number)
        self._waiting: list[Any] = []
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._waiting and not self._ended:
            items, self._ended = self._peer.call(self._number, "take", (TAKE,), {})
            self._waiting = items[::-1]
        if not self._waiting:
            raise StopIteration
        return self._waiting.pop()

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._peer.call(self._number, "close", (), {})


class IteratorHost:
    """The far end of a `RemoteIterator`."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def take(self, most: int) -> tuple[list[Any], bool]:
        """The next items, and whether those were all."""
        taken: list[Any] = []
        for item in self._items:
            taken.append(item)
            if len(taken) >= most:
                return taken, False
        return taken, True

    def close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


class RemoteTable(Remote):
    """A table. Each export reads it anew from the other side, while it arrives; `collect` keeps it here."""

    _here: Table | None = None

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        table = tables.stream_of(self._peer.pieces(self._number, None)) if self._here is None else self._here
        return table.__arrow_c_stream__(requested_schema)

    def collect(self, until: float | None) -> Table:
        """Read it to its end and let the other side forget it."""
        if self._here is None:
            self._here = tables.table_of(self._peer.pieces(self._number, until))
        return self._here


class RemoteObject(Remote):
    """An object that keeps protocols of a role; made by `remote_object`."""


def remote_object(peer: Peer, number: int, known: Any) -> RemoteObject:
    """With the methods of the protocols named, and the plain attributes as they were when it was sent."""
    names, attributes = known
    made = _class_of(peer.role, tuple(names))(peer, number)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def describe_object(role: str, value: Any) -> tuple[tuple[str, ...], dict[str, Any], frozenset[str]]:
    """The protocols of the role that it keeps, its attributes among them, its methods. Raises `RefusedInput`."""
    kept = [protocol for protocol in protocols_near(role) if _keeps(value, protocol)]
    if not kept:
        raise RefusedInput(
            "A value of this type does not cross the bridge to a tool's environment",
            got=f"{type(value).__module__}.{type(value).__qualname__}",
            allowed="the values of the role's contract: plain values, paths, instants, tables, functions",
        )
    methods = frozenset(name for protocol in kept for name in members(protocol)[0])
    attributes = {name: getattr(value, name) for protocol in kept for name in members(protocol)[1]}
    return tuple(protocol.__name__ for protocol in kept), attributes, methods


def _keeps(value: Any, protocol: type) -> bool:
    methods, attributes = members(protocol)
    return all(callable(getattr(value, name, None)) for name in methods) and all(
        hasattr(value, name) for name in attributes
    )


@cache
def _class_of(role: str, names: tuple[str, ...]) -> type[RemoteObject]:
    protocols = [protocol for protocol in protocols_near(role) if protocol.__name__ in names]
    methods = {name: _forward(name) for protocol in protocols for name in members(protocol)[0]}
    return type("Remote" + "And".join(names), (RemoteObject,), methods)


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: RemoteObject, *args: Any, **kwargs: Any) -> Any:
        return self._peer.call(self._number, name, args, kwargs)

    forward.__name__ = name
    return forward
