"""Tables under way, piece by piece. The reader allows bytes, the sender sends no more than that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from stackproof.envs.bridge import tables
from stackproof.envs.bridge.frames import Kind
from stackproof.envs.bridge.limits import TICK_S, left
from stackproof.envs.bridge.numbers import NUMBER
from stackproof.envs.bridge.pieces import Piece
from stackproof.errors import Unavailable
from stackproof.roles.table import Table

if TYPE_CHECKING:
    from stackproof.envs.bridge.peer import Peer

WINDOW = 64 << 20


class Incoming:
    """The reader's end of one stream."""

    def __init__(self, peer: Peer, number: int, table: int) -> None:
        self._peer = peer
        self._number = number
        self._table = table
        self._inbox: SimpleQueue[Piece | BaseException | None] = SimpleQueue()
        self._ended = False

    def put(self, piece: Piece | BaseException | None) -> None:
        """A piece, None for the end, or what went wrong."""
        self._inbox.put(piece)

    def pieces(self, until: float | None) -> Iterator[Piece]:
        """Left early, it tells the sender to stop. Raises `Unavailable` after `until`, and what went wrong there."""
        self._peer.send(Kind.OPEN, self._number, NUMBER.pack(self._table), until)
        try:
            while (piece := self._next(until)) is not None:
                yield piece
                self._peer.send(Kind.CREDIT, self._number, NUMBER.pack(piece.size), until)
        finally:
            self._peer.end_incoming(self._number)
            if not self._ended:
                self._peer.send_if_possible(Kind.STOP, self._number)

    def _next(self, until: float | None) -> Piece | None:
        while True:
            try:
                piece = self._inbox.get(timeout=min(TICK_S, left(until)))
            except Empty:
                if left(until) > 0:
                    continue
                raise Unavailable("A table did not arrive in time") from None
            self._ended = not isinstance(piece, Piece)
            if isinstance(piece, BaseException):
                raise piece
            return piece


class Outgoing:
    """The sender's end of one stream; `run` is a job of its own."""

    def __init__(self, peer: Peer, number: int, table: Table) -> None:
        self._peer = peer
        self._number = number
        self._table = table
        self._changed = threading.Condition()
        self._allowed = WINDOW
        self._stopped = False

    def credit(self, size: int) -> None:
        with self._changed:
            self._allowed += size
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def run(self) -> None:
        try:
            for piece in tables.pieces_of(self._table):
                if not self._may_send(piece.size):
                    return
                self._peer.send(Kind.CHUNK, self._number, b"", None, piece.descriptor)
                piece.close()
            self._peer.send_if_possible(Kind.END, self._number)
        except Exception as error:  # noqa: BLE001  # whatever the table's own code raises is told to the reader
            self._peer.send_failure(Kind.END, self._number, error)
        finally:
            self._peer.end_outgoing(self._number)

    def _may_send(self, size: int) -> bool:
        with self._changed:
            while self._allowed <= 0 and not self._stopped:
                self._changed.wait(TICK_S)
            self._allowed -= size
            return not self._stopped
