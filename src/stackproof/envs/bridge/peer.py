"""One end of the bridge. Both ends are the same: each calls the other's objects, and each may call back.

One thread calls `receive` when something has arrived; it never runs what it receives, and never waits to send.
"""

import json
import logging
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from itertools import count
from typing import Any

from stackproof.envs.bridge import limits as waiting
from stackproof.envs.bridge.calls import Answer, Budget, Lost, Pending, Running
from stackproof.envs.bridge.crossing import Crossing
from stackproof.envs.bridge.exports import Export, Exports
from stackproof.envs.bridge.frames import BrokenBridge, FrameReader, FrameWriter, Kind, Message
from stackproof.envs.bridge.limits import Limits, OutOfTime
from stackproof.envs.bridge.numbers import NUMBER, unpacked
from stackproof.envs.bridge.pieces import Piece
from stackproof.envs.bridge.streams import Incoming, Outgoing
from stackproof.envs.bridge.workers import Job, Rest, Workers
from stackproof.errors import NotFound, RefusedInput, StackproofError

_depth: ContextVar[int] = ContextVar("bridge_depth", default=0)


class Peer:
    """`where` names the other process. `starts`: this end started the other: it gets back the very errors that its
    callbacks raised, and its own code is never interrupted.
    """

    def __init__(self, sock: socket.socket, role: str, limits: Limits, where: str, *, starts: bool) -> None:
        self.role = role
        self.where = where
        self.exports = Exports()
        self.workers = Workers(f"bridge {role}", here=not starts)
        self.heard = False
        self.on_bye: Callable[[], None] = lambda: None
        self._limits = limits
        self.starts = starts
        self._writer = FrameWriter(sock)
        self._reader = FrameReader(sock, limits.message_bytes)
        self.running = Running(interrupts=not starts)
        self._budget = Budget(limits.calls, limits.bytes_in_flight)
        self._numbers = count(1)
        self._pending: dict[int, Pending] = {}
        self._incoming: dict[int, Incoming] = {}
        self._outgoing: dict[int, Outgoing] = {}
        self._dropped: deque[int] = deque()
        self._lost: Lost | None = None
        self._told = threading.Event()
        self._handlers: dict[Kind, Callable[[Message], None]] = {
            Kind.CALL: self._on_call,
            Kind.RETURN: self._on_answer,
            Kind.RAISE: self._on_answer,
            Kind.CANCEL: self._on_cancel,
            Kind.DROP: self._on_drop,
            Kind.OPEN: self._on_open,
            Kind.CHUNK: self._on_chunk,
            Kind.END: self._on_end,
            Kind.CREDIT: self._on_credit,
            Kind.STOP: self._on_stop,
            Kind.PING: self._on_ping,
            Kind.PONG: lambda message: None,
            Kind.LOG: self._on_log,
            Kind.BYE: lambda message: self.on_bye(),
        }

    # Calling

    def call(
        self,
        target: int,
        method: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        until: float | None = None,
        key: str = "",
    ) -> Any:
        """Call a method of an object over there and return its value, with its tables read to their end.

        Raises what it raised; `OutOfTime` after `until`; `Lost` when the other process is gone; `RefusedInput`
        for an argument that is no value. Left by Ctrl-C, it cancels the call and waits `stop_s` for its end.
        """
        until = waiting.until(None) if until is None else until
        number, pending = next(self._numbers), Pending()
        content = self._encode(
            target, (method, args, dict(kwargs), key, None if until is None else waiting.left(until)), pending
        )
        with self._within_budget(pending, len(content), until):
            return self._value(self._exchange(number, pending, content, until), until)

    @contextmanager
    def _within_budget(self, pending: Pending, size: int, until: float | None) -> Iterator[None]:
        """Calls made by callbacks of callbacks are not counted: those that they wait for would never end."""
        if _depth.get() >= 2:
            yield
            return
        try:
            self._budget.enter(size, until)
        except OutOfTime:
            self._take_back(pending)
            raise
        try:
            yield
        finally:
            self._budget.leave(size)

    def _take_back(self, pending: Pending) -> None:
        """What was exported for a call that never reached the other side."""
        for number in pending.exported:
            self.exports.drop(number)

    def _exchange(self, number: int, pending: Pending, content: memoryview, until: float | None) -> Answer:
        self._pending[number] = pending
        try:
            self._begin(number, pending, content, until)
            return pending.wait(until)
        except BaseException as left:
            pending.cancelled = True
            self.send_if_possible(Kind.CANCEL, number)
            if not isinstance(left, Exception):
                self._let_end(pending)
            raise
        finally:
            self._pending.pop(number, None)
            for rest in pending.leave():
                self.workers.submit(self._discarding(rest) if isinstance(rest, Answer) else rest)

    def _begin(self, number: int, pending: Pending, content: memoryview, until: float | None) -> None:
        try:
            self.send(Kind.CALL, number, content, until)
        except (Lost, OutOfTime) as never_came:
            self._take_back(pending)
            if isinstance(never_came, Lost):
                never_came.sent = False
            raise

    def _let_end(self, pending: Pending) -> None:
        try:
            pending.wait(time.monotonic() + self._limits.stop_s)
        except OutOfTime:
            return

    def _value(self, answer: Answer, until: float | None) -> Any:
        if answer.lost is not None:
            raise self._loss()
        crossing = Crossing(self)
        decoded = crossing.decode(answer.content, answer.pinned)
        if answer.failed:
            raise decoded
        if self.starts:
            for table in crossing.tables:
                table.collect(until)
        return decoded

    def _encode(self, target: int, value: object, within: Pending | None) -> memoryview:
        crossing = Crossing(self, within)
        content = crossing.encode(target, _depth.get(), value)
        if within is not None:
            within.exported = crossing.exported
        if len(content) > self._limits.message_bytes:
            raise RefusedInput(
                "Too much for one message over the bridge",
                got=f"{len(content)} bytes",
                allowed=f"{self._limits.message_bytes} bytes; a path to a file, or a table, has no such bound",
            )
        return content

    # Sending

    def send(
        self, kind: Kind, number: int, content: bytes | memoryview, until: float | None, descriptor: int | None = None
    ) -> None:
        """Raises `Lost`, or `OutOfTime` after `until`. An open file may go along."""
        if self._lost is not None:
            raise self._loss()
        try:
            if self._dropped:
                self._tell_dropped(until)
            self._writer.send(kind, number, content, until, descriptor)
        except (OSError, BrokenBridge) as broken:
            # The thread that listens to the other process finds out how it ended.
            self._told.wait(self._limits.stop_s if self.starts else 0.0)
            raise self._loss(str(broken)) from broken

    def send_if_possible(self, kind: Kind, number: int, content: bytes | memoryview = b"") -> None:
        """For what only spares the other side work, or keeps it from waiting: nothing to do when it is gone."""
        try:
            self.send(kind, number, content, time.monotonic() + self._limits.stop_s)
        except (Lost, OutOfTime):
            return

    def send_failure(self, kind: Kind, number: int, error: BaseException) -> None:
        self.send_if_possible(kind, number, self._encode(0, error, None))

    def ping(self) -> None:
        """Never waits."""
        self._try_now(lambda now: self._writer.send(Kind.PING, 0, b"", now))

    def tidy(self) -> None:
        """Tell what is no longer referred to here. Never waits."""
        if self._dropped:
            self._try_now(self._tell_dropped)

    def _try_now(self, send: Callable[[float], None]) -> None:
        try:
            send(time.monotonic())
        except (OSError, BrokenBridge, OutOfTime):
            return

    def drop(self, number: int) -> None:
        """Called by the garbage collector, so it only notes; the next message takes it along."""
        self._dropped.append(number)

    def _tell_dropped(self, until: float | None) -> None:
        numbers = bytearray()
        while self._dropped:
            numbers += NUMBER.pack(self._dropped.popleft())
        if numbers:
            self._writer.send(Kind.DROP, 0, numbers, until)

    # Receiving

    @property
    def waits(self) -> bool:
        """Whether something here waits for the other side."""
        return bool(self._pending or self._incoming)

    def receive(self) -> None:
        """Take everything that has arrived. Raises `EOFError`, `OSError`, `BrokenBridge`."""
        self.heard = True
        while (message := self._reader.read()) is not None:
            try:
                self._handlers[message.kind](message)
            except (struct.error, ValueError, TypeError, StackproofError) as unreadable:
                raise BrokenBridge(f"a {message.kind.name} that cannot be read: {unreadable}") from unreadable

    def lose(self, reason: Lost) -> None:
        """The other process is gone: everything that waits for it ends with that reason."""
        self._lost = reason
        self._told.set()
        nothing = memoryview(b"")
        for pending in list(self._pending.values()):
            pending.answer(Answer(True, nothing, {}, reason))
        for stream in list(self._incoming.values()):
            stream.put(self._loss())
        for outgoing in list(self._outgoing.values()):
            outgoing.stop()
        self.workers.end()

    def _loss(self, why: str = "") -> Lost:
        reason = self._lost
        return Lost(reason.what, got=reason.got) if reason else Lost(f"{self.where} is gone", got=why or None)

    def _on_call(self, message: Message) -> None:
        target, depth, named, rest = unpacked(message.content)
        self.running.accept(message.number)
        try:
            export, pinned = self.exports.get(target), self._pinned(named)
        except NotFound as unknown:
            self._refuse(message.number, unknown)
            return
        self._hand_over(export, lambda: self._serve(message.number, depth, export, rest, pinned))

    def _pinned(self, numbers: list[int]) -> dict[int, object]:
        """What a message names of ours, held before a later message may drop it."""
        return {number: self.exports.get(number).value for number in numbers}

    def _hand_over(self, export: Export, job: Job) -> None:
        """To the thread that waits in the call which carried the callback, or to one with its context."""
        if not self.starts:
            self.workers.submit(job)
        elif export.within is None or not export.within.offer(job):
            self.workers.submit(lambda: export.context.copy().run(job))

    def _refuse(self, number: int, error: BaseException) -> None:
        self.running.end(number)
        self.workers.submit(lambda: self.send_failure(Kind.RAISE, number, error))

    def _serve(self, number: int, depth: int, export: Export, rest: memoryview, pinned: dict[int, object]) -> Rest:
        token = _depth.set(depth + 1)
        try:
            kind, content = self._run(number, export, rest, pinned)
        finally:
            _depth.reset(token)
            self.running.end(number)
        return lambda: self.send_if_possible(kind, number, content)

    def _run(self, number: int, export: Export, rest: memoryview, pinned: dict[int, object]) -> tuple[Kind, memoryview]:
        try:
            request = Crossing(self).decode(rest, pinned)
            given_up = export.within is not None and export.within.cancelled
            with self.running.as_this_thread(number, given_up=given_up):
                value = self._called(export, request)
            return Kind.RETURN, self._encode(0, value, None)
        except BaseException as error:  # noqa: BLE001  # whatever it raised, Ctrl-C included, belongs to the caller
            return Kind.RAISE, self._encode(0, error, None)

    def _called(self, export: Export, request: tuple[str, tuple[Any, ...], dict[str, Any], str, float | None]) -> Any:
        method, args, kwargs, key, seconds = request
        if method not in export.names:
            raise RefusedInput("The bridge reaches only what the contract names", got=method)
        keyed = getattr(export.value, "call_key", None)
        if isinstance(keyed, ContextVar):
            keyed.set(key)
        with waiting.deadline(seconds) if seconds is not None else nullcontext():
            return getattr(export.value, method)(*args, **kwargs)

    def _on_answer(self, message: Message) -> None:
        _, _, named, rest = unpacked(message.content)
        answer = Answer(message.kind is Kind.RAISE, rest, self._pinned(named))
        pending = self._pending.get(message.number)
        if pending is not None:
            pending.answer(answer)
        else:
            self.workers.submit(self._discarding(answer))

    def _discarding(self, answer: Answer) -> Callable[[], None]:
        """Reading an answer that nobody waits for lets the other side forget what it holds for it."""

        def discard() -> None:
            if answer.lost is None:
                Crossing(self).decode(answer.content, answer.pinned)

        return discard

    def _on_cancel(self, message: Message) -> None:
        self._reader.forget(Kind.CALL, message.number)
        self.running.cancel(message.number)

    def _on_drop(self, message: Message) -> None:
        for (number,) in NUMBER.iter_unpack(message.content):
            dropped = self.exports.drop(number)
            if dropped is not None:
                self.workers.submit(dropped)

    def _on_ping(self, message: Message) -> None:
        self.workers.submit(lambda: self.send_if_possible(Kind.PONG, message.number))

    def _on_log(self, message: Message) -> None:
        name, level, text = json.loads(message.content)
        logging.getLogger(name).log(level, "%s", text)

    # Tables

    def pieces(self, table: int, until: float | None) -> Iterator[Piece]:
        """A table of the other side, piece by piece."""
        number = next(self._numbers)
        stream = self._incoming[number] = Incoming(self, number, table)
        return stream.pieces(until)

    def end_incoming(self, number: int) -> None:
        self._incoming.pop(number, None)

    def end_outgoing(self, number: int) -> None:
        self._outgoing.pop(number, None)

    def _on_open(self, message: Message) -> None:
        (table,) = NUMBER.unpack(message.content)
        try:
            source: Any = self.exports.get(table).value
        except NotFound as unknown:
            failed = unknown
            self.workers.submit(lambda: self.send_failure(Kind.END, message.number, failed))
            return
        stream = self._outgoing[message.number] = Outgoing(self, message.number, source)
        self.workers.submit(stream.run)

    def _on_chunk(self, message: Message) -> None:
        stream = self._incoming.get(message.number)
        piece = message.piece
        if stream is not None and piece is not None:
            stream.put(piece)

    def _on_end(self, message: Message) -> None:
        stream = self._incoming.get(message.number)
        if stream is None:
            return
        if message.content:
            _, _, named, rest = unpacked(message.content)
            stream.put(Crossing(self).decode(rest, self._pinned(named)))
        else:
            stream.put(None)

    def _on_credit(self, message: Message) -> None:
        stream = self._outgoing.get(message.number)
        if stream is not None:
            stream.credit(*NUMBER.unpack(message.content))

    def _on_stop(self, message: Message) -> None:
        stream = self._outgoing.get(message.number)
        if stream is not None:
            stream.stop()
