"""Calls under way: the caller's side, the side that runs them, and how many there may be."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

from stackproof.envs.bridge.limits import TICK_S, OutOfTime, left
from stackproof.envs.bridge.workers import Job
from stackproof.errors import Unavailable


class Lost(Unavailable):
    """The other process is gone. `sent`: whether it may have begun what was asked of it."""

    sent = True


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` as it came, to be decoded by the caller's thread; or the loss of the other side."""

    failed: bool
    content: memoryview
    pinned: dict[int, object]
    lost: Lost | None = None


class Pending:
    """A call that waits for its answer. Meanwhile its thread runs callbacks, as it would without a bridge.

    The thread counts as free whenever it will next look for what has come, so also while it still sends: the other
    side may be faster with its next callback than this thread is with coming back from sending.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.exported: list[int] = []
        self.context: Context = copy_context()
        self._inbox: SimpleQueue[Answer | Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._free = True

    def answer(self, answer: Answer) -> None:
        self._inbox.put(answer)

    def offer(self, job: Job) -> bool:
        """Whether the waiting thread will run the job: it runs one at a time."""
        with self._lock:
            if self._free:
                self._free = False
                self._inbox.put(job)
                return True
        return False

    def wait(self, until: float | None) -> Answer:
        """Raises `OutOfTime`."""
        while True:
            found = self._next(until)
            if isinstance(found, Answer):
                return found
            try:
                rest = found()
            finally:
                self._set_free(True)
            if rest is not None:
                rest()

    def leave(self) -> list[Answer | Job]:
        """Take no more jobs. Returns what came and was not taken."""
        self._set_free(False)
        came: list[Answer | Job] = []
        while True:
            try:
                came.append(self._inbox.get_nowait())
            except Empty:
                return came

    def _set_free(self, free: bool) -> None:
        with self._lock:
            self._free = free

    def _next(self, until: float | None) -> Answer | Job:
        # In short waits: a library's signal handler may restart a long one, which then never sees Ctrl-C.
        while True:
            try:
                return self._inbox.get(timeout=min(TICK_S, left(until)))
            except Empty:
                if left(until) <= 0:
                    raise OutOfTime from None


class Running:
    """The calls that this process runs for the other one, and how to stop one.

    `interrupts`: a cancelled call gets `KeyboardInterrupt` in its thread, as if by Ctrl-C; without, only a call
    that has not begun is stopped.
    """

    def __init__(self, *, interrupts: bool) -> None:
        self._interrupts = interrupts
        self._lock = threading.Lock()
        self._threads: dict[int, int | None] = {}
        self._cancelled: set[int] = set()

    def accept(self, number: int) -> None:
        with self._lock:
            self._threads[number] = None

    def cancel(self, number: int) -> None:
        with self._lock:
            if number not in self._threads:
                return
            self._cancelled.add(number)
            thread = self._threads[number]
            if thread is None or not self._interrupts:
                return
            if thread == threading.main_thread().ident:
                signal.pthread_kill(thread, signal.SIGINT)
            else:
                _raise_in(thread, KeyboardInterrupt)

    def on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT: only the main thread's own cancelled call ends, also when it waits in the kernel."""
        if any(self._threads.get(call) == threading.get_ident() for call in tuple(self._cancelled)):
            raise KeyboardInterrupt

    @contextmanager
    def as_this_thread(self, number: int, *, given_up: bool) -> Iterator[None]:
        """Raises `KeyboardInterrupt` for a call that was cancelled, or given up, before it began."""
        with self._lock:
            if given_up or number in self._cancelled:
                raise KeyboardInterrupt
            self._threads[number] = threading.get_ident()
        try:
            yield
        finally:
            with self._lock:
                self._threads[number] = None
                _raise_in(threading.get_ident(), None)

    def end(self, number: int) -> None:
        with self._lock:
            self._threads.pop(number, None)
            self._cancelled.discard(number)


class Budget:
    """Bounds the calls under way and their bytes in one direction. One call alone may be larger than the bound."""

    def __init__(self, calls: int, size: int) -> None:
        self._calls = calls
        self._size = size
        self._changed = threading.Condition()
        self._now = (0, 0)

    def enter(self, size: int, until: float | None) -> None:
        """Raises `OutOfTime`."""
        with self._changed:
            while not self._has_room(size):
                if left(until) <= 0:
                    raise OutOfTime
                self._changed.wait(min(TICK_S, left(until)))
            self._now = (self._now[0] + 1, self._now[1] + size)

    def leave(self, size: int) -> None:
        with self._changed:
            self._now = (self._now[0] - 1, self._now[1] - size)
            self._changed.notify()

    def _has_room(self, size: int) -> bool:
        calls, under_way = self._now
        return calls == 0 or (calls < self._calls and under_way + size <= self._size)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Set, or with None take back, what the thread raises at its next step."""
    what = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
