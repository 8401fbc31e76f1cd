"""A bridge to one adapter: starts the child, calls it, and starts it again when it died."""

import atexit
import os
import signal
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from stackproof.envs.bridge import limits as waiting
from stackproof.envs.bridge.calls import Lost
from stackproof.envs.bridge.child import ADAPTER, HOST
from stackproof.envs.bridge.contracts import contract_of, may_repeat
from stackproof.envs.bridge.description import Description
from stackproof.envs.bridge.failures import as_ours
from stackproof.envs.bridge.limits import Limits, OutOfTime
from stackproof.envs.bridge.losses import Losses
from stackproof.envs.bridge.output import Output
from stackproof.envs.bridge.process import ChildProcess
from stackproof.errors import Conflict, StackproofError, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.table import Table

MINUTE_S = 60.0
EXIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Hosted:
    """What runs on the far side. `adapter` is "module:Class"; `python` the interpreter of its environment.

    `log`: a file that gets what the child prints.
    """

    role: str
    tool: str
    adapter: str
    python: Path
    log: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.role}.{self.tool}"


class Bridge:
    """May be used from many threads. After a fork each process has a child of its own."""

    def __init__(self, hosted: Hosted, limits: Limits) -> None:
        self.hosted = hosted
        self.restarts = 0
        self._role, self._contract = hosted.role, contract_of(hosted.role)
        self._limits = limits
        self._setting: Setting | None = None
        self._description: Description | None = None
        self._closed = False
        self._deaths: deque[float] = deque(maxlen=max(1, limits.restarts))
        self._begin()
        _bridges.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._child: ChildProcess | None = None
        self._output = Output(self.hosted.log)
        self._losses = Losses(self._contract)

    @property
    def pid(self) -> int | None:
        """The child's, None when none runs."""
        child = self._child
        return child.pid if child is not None and child.lost is None else None

    def describe(self) -> Description:
        """What the adapter's class says of itself. Starts the child. Raises `NotFound` for a module that is missing."""
        if self._description is None:
            self._living()
        assert self._description is not None
        return self._description

    def open(self, setting: Setting) -> None:
        """Construct the adapter, and again with the same setting in each child that replaces this one."""
        with self._lock:
            child = self._living()
            self._setting = setting
            self._open_in(child)

    def close(self, within_s: float | None = None) -> None:
        """Close the adapter and end the child. Idempotent. Raises what closing the adapter raised."""
        if os.getpid() != self._pid:
            self._begin()
        with self._lock:
            child, self._child = self._child, None
            self._closed = True
        if child is None:
            return
        try:
            if child.lost is None and self._setting is not None:
                self._ask(child, HOST, "shut", (), {}, within_s or self._limits.close_s)
        except Lost:
            return  # it died, which ends it as well
        finally:
            child.end()

    def call(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a method of the contract.

        Raises what the adapter raised, in our tree; `Unavailable` when it did not answer in time, or when its child
        died and the call may not be made again; `StorageFailed` when a child took points with it that it had accepted.
        """
        until = None if method in self._contract.endless else self._limits.call_s
        key = uuid.uuid4().hex
        try:
            value = self._made(method, args, kwargs, until, key)
        except Lost as lost:
            if not self._may_repeat(method, args, kwargs, lost):
                raise self._as_unavailable(method, lost) from None
            value = self._made_again(method, args, kwargs, until, key)
        self._losses.after(method, args, kwargs)
        return value

    def _made(
        self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], within_s: float | None, key: str
    ) -> Any:
        child = self._living()
        self._losses.before(method, args, kwargs)
        with self._signals_to(child, method):
            return self._ask(child, ADAPTER, method, args, kwargs, within_s, key)

    def _made_again(
        self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], within_s: float | None, key: str
    ) -> Any:
        try:
            return self._made(method, args, kwargs, within_s, key)
        except Lost as lost:
            raise self._as_unavailable(method, lost, again=True) from None

    def _may_repeat(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], lost: Lost) -> bool:
        if not lost.sent:
            return True
        keyed = self._description.keyed if self._description is not None else frozenset()
        safe = may_repeat(self._role, method) or method in keyed
        return safe and not any(_reads_once(value) for value in (*args, *kwargs.values()))

    def _as_unavailable(self, method: str, lost: Lost, *, again: bool = False) -> Unavailable:
        how = "was made again once" if again else "was not made again: its effect might be there twice"
        return Unavailable(f"{lost.what} during {method}, which {how}", got=lost.got, allowed=lost.allowed)

    def _ask(
        self,
        child: ChildProcess,
        target: int,
        method: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        within_s: float | None,
        key: str = "",
    ) -> Any:
        call, until = f"{self.hosted.name}.{method}", waiting.until(within_s)
        limit = waiting.left(until)
        try:
            return child.peer.call(target, method, args, kwargs, until=until, key=key)
        except OutOfTime:
            raise Unavailable(f"{call} did not return in time", allowed=f"{limit:.3g} s for this call") from None
        except BaseException as error:
            ours = as_ours(error, call)
            if ours is error:
                raise
            raise ours from error.__cause__

    # Life

    def _living(self) -> ChildProcess:
        if os.getpid() != self._pid:
            self._begin()
        with self._lock:
            if self._closed:
                raise Conflict(f"The adapter {self.hosted.name} was closed", allowed="making a new one")
            child = self._child
            if child is None or child.lost is not None:
                return self._start(child)
            return child

    def _start(self, before: ChildProcess | None) -> ChildProcess:
        if before is not None:
            self._pause(before)
        python, role = self.hosted.python, self.hosted.role
        child = self._child = ChildProcess(python, role, self._where(), self._limits, self._output)
        try:
            plain = self._ask(child, HOST, "load", (self.hosted.adapter,), {}, self._limits.start_s)
            self._description = Description(*plain)
            if self._setting is not None:
                self._open_in(child)
        except Lost as lost:
            self._deaths.append(time.monotonic())
            raise Unavailable(
                f"{lost.what} before it could be used", got=lost.got, next_command="stackproof apply"
            ) from None
        except BaseException:
            child.end()
            raise
        return child

    def _open_in(self, child: ChildProcess) -> None:
        assert self._setting is not None
        home, options = self._setting.home.absolute(), dict(self._setting.options)
        self._ask(child, HOST, "open", (home, options), {}, self._limits.start_s)

    def _pause(self, died: ChildProcess) -> None:
        """Before a restart: longer after each death of the last minute, and no further one after too many."""
        now = time.monotonic()
        recent = [moment for moment in self._deaths if now - moment < MINUTE_S]
        if len(recent) >= self._limits.restarts:
            lost = died.lost
            raise Unavailable(
                f"{self._where()} died {len(recent)} times within a minute and is not started again for now",
                got=lost.got if lost is not None else None,
                allowed=f"{self._limits.restarts} restarts a minute",
            )
        pause = min(self._limits.first_pause_s * 2 ** len(recent), self._limits.longest_pause_s)
        self._deaths.append(now)
        self.restarts += 1
        self._losses.died()
        time.sleep(pause if recent else 0.0)

    def _where(self) -> str:
        return f"The child process of {self.hosted.name}"

    @contextmanager
    def _signals_to(self, child: ChildProcess, method: str) -> Iterator[None]:
        """For methods that serve until a signal: one that this process gets goes to the child."""
        if method not in self._contract.until_signal or threading.current_thread() is not threading.main_thread():
            yield
            return

        def forward(number: int, frame: FrameType | None) -> None:
            child.signal(signal.SIGTERM)

        before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __del__(self) -> None:
        child = getattr(self, "_child", None)
        if child is not None:
            child.kill()

    def forget_child(self) -> None:
        """In a process that was forked from ours."""
        if self._child is not None:
            self._child.forget()


_bridges: weakref.WeakSet[Bridge] = weakref.WeakSet()


def _close_all() -> None:
    for bridge in list(_bridges):
        try:
            bridge.close(EXIT_S)
        except StackproofError:
            continue  # the process ends; the child was ended all the same


def _forget_all() -> None:
    for bridge in list(_bridges):
        bridge.forget_child()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)


def _reads_once(value: object) -> bool:
    """A table without a length is a stream: sent twice, the second would be empty."""
    return isinstance(value, Table) and not hasattr(value, "__len__")
