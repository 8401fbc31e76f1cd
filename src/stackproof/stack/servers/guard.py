"""The guard of one server: starts it, writes its log, and ends it with all that it started when its own input ends.

Run as a file by any Python, with nothing but the standard library. Its input is one line of JSON (`Charge`) and then
stays open as long as the server is wanted. Its output is one line of JSON for each thing that happened.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36
QUICK_S, SLOW_S = 0.05, 1.0
PIECE = 65536


@dataclass(frozen=True)
class Charge:
    """What a guard is told. `lock`: held while anything of the server runs. `ready`: text that it prints when ready."""

    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    ready: str
    lock: str
    log: str
    log_bytes: int
    log_files: int
    stop_s: float


class Log:
    """Appends to a file that gives way to `path.1`, `path.2`, … when it is full.

    What a full disk has no room for is lost, and the log says how much that was.
    """

    def __init__(self, path: Path, size: int, files: int) -> None:
        self._path, self._size, self._files = path, size, files
        self._lost, self._why = 0, ""

    def write(self, data: bytes) -> None:
        for begin in range(0, len(data), self._size):
            piece = data[begin : begin + self._size]
            try:
                self._append(piece)
            except OSError as error:
                self._lost += len(piece)
                self._why = str(error.strerror)

    def say(self, line: str) -> None:
        """One line of our own."""
        self.write(f"[stackproof] {datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n".encode())

    def _append(self, data: bytes) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            try:
                self._append(f"\n[stackproof] {lost} bytes were lost here: {self._why}\n".encode())
            except OSError:
                self._lost = lost
                raise
        if self._path.exists() and self._path.stat().st_size + len(data) > self._size:
            self._rotate()
        with self._path.open("ab", buffering=0) as file:
            begin = file.tell()
            if file.write(data) != len(data):
                os.truncate(self._path, begin)
                raise OSError(28, "No space left on device")

    def _rotate(self) -> None:
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files))]
        for older, newer in zip(reversed(names), [*reversed(names[:-1])], strict=False):
            if newer.exists():
                newer.replace(older)
        self._path.unlink(missing_ok=True)


class Guard:
    """One server's life, in one thread."""

    def __init__(self, charge: Charge) -> None:
        self._charge = charge
        self._log = Log(Path(charge.log), charge.log_bytes, charge.log_files)
        self._wanted = True
        self._output: int | None = None
        self._printed, self._ready = b"", charge.ready.encode()
        signal.signal(signal.SIGTERM, self._dismiss)

    def live(self) -> None:
        if not self._alone():
            return
        try:
            process = self._start()
        except OSError as error:
            tell(failed=f"{self._charge.arguments[0]}: {error.strerror}")
            return
        tell(pid=process.pid)
        self._watch(process.pid)
        code = self._end(process.pid)
        self._log.say(f"ended, {in_words(code)}")
        tell(ended=in_words(code))

    def _dismiss(self, *_: object) -> None:
        self._wanted = False

    def _alone(self) -> bool:
        """Wait until nothing runs of the server that an earlier guard had. The lock is ours until this process ends."""
        lock = os.open(self._charge.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while self._wanted:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._listen([], QUICK_S)
            else:
                return True
        return False

    def _start(self) -> "subprocess.Popen[bytes]":
        self._log.say("starts")
        process = subprocess.Popen(
            self._charge.arguments,
            cwd=self._charge.folder,
            env=dict(self._charge.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509  # this process has one thread
        )
        assert process.stdout is not None
        self._output = process.stdout.fileno()
        os.set_blocking(self._output, False)
        return process

    def _watch(self, server: int) -> None:
        """Until it ends or is no longer wanted."""
        ending = os.pidfd_open(server)
        while self._wanted and not _has_ended(server):
            self._listen([ending], SLOW_S)
            _reap(_children(), server)

    def _listen(self, others: list[int], seconds: float) -> None:
        outputs = [] if self._output is None else [self._output]
        readable, _, _ = select.select([0, *outputs, *others], [], [], seconds)
        if 0 in readable and not os.read(0, PIECE):
            self._wanted = False
        if self._output in readable:
            self._write_printed()

    def _write_printed(self) -> None:
        """What was printed goes to the log."""
        assert self._output is not None
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._output, PIECE)
            if data:
                self._log.write(data)
                self._look_for_ready(data)
            else:
                self._output = None

    def _look_for_ready(self, data: bytes) -> None:
        if self._ready:
            self._printed = self._printed[-len(self._ready) :] + data
            if self._ready in self._printed:
                self._ready = b""
                tell(ready=True)

    def _end(self, server: int) -> int:
        """SIGTERM to all that it started, then SIGKILL; its exit code, or the negative number of a signal.

        Orphans become our children (`ADOPT_ORPHANS`), so that none is overlooked. The server itself is reaped last:
        until then its number and its group's are nobody else's.
        """
        _signal(os.killpg, server, signal.SIGTERM)
        until, asked = time.monotonic() + self._charge.stop_s, {server}
        while left := self._left(server):
            if time.monotonic() > until:
                _signal(os.killpg, server, signal.SIGKILL)
                asked = set()
            for child in set(left) - asked:
                _signal(os.kill, child, signal.SIGKILL if time.monotonic() > until else signal.SIGTERM)
            asked.update(left)
            self._listen([], QUICK_S)
        if self._output is not None:
            self._write_printed()
        _signal(os.killpg, server, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(server, 0)[1])

    def _left(self, server: int) -> list[int]:
        """Our children that may still run. What the server leaves behind is among them as soon as it has ended."""
        ended = _has_ended(server)
        others = [child for child in _children() if child != server]
        _reap(others, server)
        return others if ended else [server, *others]


def tell(**what: object) -> None:
    """One line to the supervisor, if it is still there."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(what).encode() + b"\n")


def in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"{signal.Signals(-code).name} (signal {-code})"


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _children() -> list[int]:
    """Ours that were not reaped; none where the system does not tell."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _reap(children: Sequence[int], server: int) -> None:
    for child in children:
        if child != server:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def _signal(how: Callable[[int, int], None], number: int, which: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        how(number, which)


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1)
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1 << 20)
        if not piece:
            return
        line += piece
    Guard(Charge(**json.loads(line))).live()


if __name__ == "__main__":
    main()
