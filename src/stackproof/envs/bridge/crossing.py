"""Values on their way between the two processes: what becomes a reference, and what a reference becomes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from stackproof.envs.bridge.calls import Pending
from stackproof.envs.bridge.failures import Record, from_record
from stackproof.envs.bridge.numbers import packed
from stackproof.envs.bridge.remotes import (
    IteratorHost,
    Remote,
    RemoteCallable,
    RemoteIterator,
    RemoteTable,
    describe_object,
    remote_object,
)
from stackproof.envs.bridge.values import Decoder, Encoder
from stackproof.errors import StackproofError, Unavailable

if TYPE_CHECKING:
    from stackproof.envs.bridge.peer import Peer

CALLED = frozenset({"__call__"})
ITERATED = frozenset({"take", "close"})


class Crossing:
    """One value's way. `within`: the call that carries it, whose thread may run the callbacks in it."""

    def __init__(self, peer: Peer, within: Pending | None = None) -> None:
        self._peer = peer
        self._within = within
        self.tables: list[RemoteTable] = []
        self.exported: list[int] = []

    def encode(self, target: int, depth: int, value: object) -> memoryview:
        """The content of a message. What was exported for a value that cannot cross is taken back."""
        buffer = io.BytesIO()
        encoder = Encoder(buffer, self)
        try:
            encoder.dump(value)
        except BaseException:
            for number in encoder.exported:
                self._peer.exports.drop(number)
            raise
        self.exported = encoder.exported
        return memoryview(packed(target, depth, encoder.returned) + buffer.getbuffer())

    def decode(self, content: memoryview, pinned: Mapping[int, object]) -> Any:
        """The value; its tables are noted in `tables`."""
        try:
            return Decoder(content, self, pinned).load()
        except StackproofError:
            raise
        except Exception as broken:  # what is no pickle makes the unpickler raise anything
            raise Unavailable("A message over the bridge cannot be read", got=repr(broken)) from broken

    def export(self, kind: str, value: object) -> tuple[int, object]:
        exports = self._peer.exports
        if kind == "iterator":
            return exports.add(IteratorHost(cast(Iterator[Any], value)), ITERATED, self._within), None
        if kind == "object":
            names, attributes, methods = describe_object(self._peer.role, value)
            return exports.add(value, methods, self._within), (names, attributes)
        return exports.add(value, CALLED if kind == "callable" else frozenset(), self._within), None

    def own(self, value: object) -> int | None:
        held = getattr(value, "_bridged", None) if isinstance(value, BaseException) else value
        return held.number_on(self._peer) if isinstance(held, Remote) else None

    def error_number(self, error: BaseException) -> int:
        return self._peer.exports.add(error, frozenset(), None) if self._peer.starts else 0

    def remote(self, kind: str, number: int, known: object) -> object:
        if kind == "callable":
            return RemoteCallable(self._peer, number)
        if kind == "iterator":
            return RemoteIterator(self._peer, number)
        if kind == "object":
            return remote_object(self._peer, number, known)
        self.tables.append(RemoteTable(self._peer, number))
        return self.tables[-1]

    def remote_error(self, record: Record) -> BaseException:
        error = from_record(record, self._peer.where)
        if record[0]:
            vars(error)["_bridged"] = Remote(self._peer, record[0])
        return error
