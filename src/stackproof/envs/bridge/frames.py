"""Frames: how messages travel over the socket between the two processes.

A message is cut into frames of at most `FRAME` bytes, so that short messages pass between the frames of a long
one. Each frame starts with `HEADER`: two fixed bytes, the kind, the length of this frame's content, the number of
the call or stream, and the length of the whole message. Numbers are little-endian.
"""

import select
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from stackproof.envs.bridge.limits import OutOfTime, left
from stackproof.envs.bridge.pieces import Piece

MAGIC = b"\xb5\x1d"
HEADER = struct.Struct("<2sBxIQQ")
FRAME = 1 << 20
DESCRIPTOR = struct.Struct("i")
ALONG = socket.CMSG_SPACE(DESCRIPTOR.size)
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

Along = Sequence[tuple[int, int, bytes]]


def beside(descriptor: int | None) -> Along:
    """What `sendmsg` takes for a file that goes along."""
    return () if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, DESCRIPTOR.pack(descriptor))]


class Kind(IntEnum):
    """What a message is. CALL, RETURN and RAISE have the number of their call; a stream has that of its reader."""

    CALL = 1
    RETURN = 2
    RAISE = 3
    CANCEL = 4
    DROP = 5
    OPEN = 6
    CHUNK = 7
    END = 8
    CREDIT = 9
    STOP = 10
    PING = 11
    PONG = 12
    LOG = 13
    BYE = 14


class BrokenBridge(Exception):
    """What came is no frame, or a frame could only be sent in part: nothing more can be said over this socket."""


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    number: int
    content: bytearray
    piece: Piece | None


class FrameWriter:
    """Sends messages; many threads may. The socket is never waited for beyond the moment given."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(
        self,
        kind: Kind,
        number: int,
        content: bytes | bytearray | memoryview,
        until: float | None,
        descriptor: int | None = None,
    ) -> None:
        """An open file may go along.

        Raises `OutOfTime` when not everything went out by `until`, `OSError` or `BrokenBridge` when none will.
        """
        view = memoryview(content).cast("B")
        start, total = 0, len(view)
        while True:
            part = view[start : start + FRAME]
            head = HEADER.pack(MAGIC, kind, len(part), number, total)
            self._send_frame([memoryview(head), part], until, descriptor)
            start, descriptor = start + FRAME, None
            if start >= total:
                return

    def _send_frame(self, parts: list[memoryview], until: float | None, descriptor: int | None) -> None:
        if not self._lock.acquire(timeout=left(until)):
            raise OutOfTime
        try:
            self._send_all(parts, until, beside(descriptor))
        finally:
            self._lock.release()

    def _send_all(self, parts: list[memoryview], until: float | None, along: Along) -> None:
        begun = False
        while parts:
            try:
                sent = self._sock.sendmsg(parts, along, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait_for_room(until, begun)
                continue
            begun, along = True, ()
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    def _wait_for_room(self, until: float | None, begun: bool) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        if poll.poll(left(until) * 1000):
            return
        if begun:
            raise BrokenBridge("a frame went out in part only: the other side stopped reading")
        raise OutOfTime


class FrameReader:
    """Puts messages together from what has arrived, and never waits."""

    def __init__(self, sock: socket.socket, message_bytes: int) -> None:
        self._sock = sock
        self._message_bytes = message_bytes
        self._head = bytearray(HEADER.size)
        self._filled = 0
        self._in_head = True
        self._target = memoryview(self._head)
        self._frame = (Kind.PING, 0, 0)
        self._piece: Piece | None = None
        self._parts: dict[tuple[Kind, int], tuple[bytearray, int]] = {}

    def read(self) -> Message | None:
        """The next message, or None when it is not there yet. Raises `EOFError`, `OSError`, `BrokenBridge`."""
        while self._fill():
            if self._in_head:
                self._begin()
            else:
                message = self._end()
                if message is not None:
                    return message
        return None

    def forget(self, kind: Kind, number: int) -> None:
        """Its sender gave up a message of which frames may have come."""
        self._parts.pop((kind, number), None)

    def _fill(self) -> bool:
        while self._filled < len(self._target):
            try:
                got = self._take()
            except BlockingIOError:
                return False
            if got == 0:
                raise EOFError
            self._filled += got
        return True

    def _take(self) -> int:
        rest = self._target[self._filled :]
        if not self._in_head:
            return self._sock.recv_into(rest, 0, socket.MSG_DONTWAIT)
        got, along, flags, _ = self._sock.recvmsg_into([rest], ALONG, socket.MSG_DONTWAIT | CLOSE_ON_EXEC)
        for _, _, data in along:
            (descriptor,) = DESCRIPTOR.unpack(data[: DESCRIPTOR.size])
            self._piece = Piece(descriptor)
        if flags & socket.MSG_CTRUNC:
            raise BrokenBridge("more open files came with a frame than one")
        return got

    def _begin(self) -> None:
        magic, kind, length, number, total = HEADER.unpack(self._head)
        if magic != MAGIC or kind not in set(Kind):
            raise BrokenBridge(f"something that is no message came over the bridge: {bytes(self._head[:12])!r}")
        if length > FRAME or total > self._message_bytes or length > total:
            allowed = f"{FRAME} of {self._message_bytes} are allowed"
            raise BrokenBridge(f"a frame of {length} bytes of a message of {total} came; {allowed}")
        self._frame = (Kind(kind), number, length)
        buffer, filled = self._parts.get((Kind(kind), number)) or (bytearray(total), 0)
        if len(buffer) != total or filled + length > total:
            raise BrokenBridge(f"the frames of message {number} do not fit together")
        self._parts[Kind(kind), number] = (buffer, filled)
        self._await(memoryview(buffer)[filled : filled + length], in_head=False)

    def _end(self) -> Message | None:
        kind, number, length = self._frame
        buffer, filled = self._parts[kind, number]
        self._await(memoryview(self._head), in_head=True)
        if filled + length < len(buffer):
            self._parts[kind, number] = (buffer, filled + length)
            return None
        del self._parts[kind, number]
        piece, self._piece = self._piece, None
        return Message(kind, number, buffer, piece)

    def _await(self, target: memoryview, *, in_head: bool) -> None:
        self._target, self._filled, self._in_head = target, 0, in_head
