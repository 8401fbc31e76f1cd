"""The child process: started, listened to, and ended by one thread of ours.

The same thread starts it and lives as long as it does, because Linux sends the death signal that the child asks for
when the thread that started it ends, not when the process does. Each child has a temporary folder of its own, since
many a tool leaves files there, and every tool does that is killed.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from stackproof.envs.bridge.calls import Lost
from stackproof.envs.bridge.frames import BrokenBridge, Kind
from stackproof.envs.bridge.limits import Limits
from stackproof.envs.bridge.output import Output
from stackproof.envs.bridge.peer import Peer

PACKAGE = Path(__file__).parents[3]
"""The folder that holds `stackproof`, and in an installed one every other package as well."""

BOOT = """
import sys
from importlib.machinery import PathFinder
if sys.version_info < (3, 11):
    sys.exit("Stackproof's side of the bridge needs Python 3.11 or newer; this is " + sys.version.split()[0])
class OnlyStackproof:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [sys.argv[1]]) if name == "stackproof" else None
sys.meta_path.insert(0, OnlyStackproof)
sys.path[:] = [folder for folder in sys.path if folder]
from stackproof.envs.bridge.child import main
main(sys.argv[2])
"""
"""Run with `-c`. `stackproof` alone is found in its folder: that folder is on no path, so nothing beside it leaks;
neither is the folder that the parent happens to run in."""

FORGOTTEN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONSAFEPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
SOCKET_BYTES = 4 << 20
GRACE_S = 0.5


class ChildProcess:
    """One process and the peer that speaks to it. `started` is set once it runs or could not be started."""

    def __init__(self, python: Path, role: str, where: str, limits: Limits, output: Output) -> None:
        self._python = python
        self._limits = limits
        self._where = where
        self._output = output
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary = ""
        self._tick_s = min(1.0, limits.silence_s / 4)
        self._silent = False
        self._silent_s, self._watched_at = 0.0, time.monotonic()
        self._stopping = False
        self.peer = Peer(self._ours, role, limits, where, starts=True)
        self.lost: Lost | None = None
        self.ended = threading.Event()
        started = threading.Event()
        threading.Thread(target=self._live, args=(started,), name=f"bridge to {where}", daemon=True).start()
        started.wait(limits.start_s)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def end(self) -> None:
        """Ask it to end, then kill it and what it started. Returns when it is gone."""
        self._stopping = True
        if not self.ended.is_set():
            self.peer.send_if_possible(Kind.BYE, 0)
        if not self.ended.wait(self._limits.stop_s):
            self.kill()
            self.ended.wait(self._limits.stop_s)

    def kill(self) -> None:
        self.signal_group(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """To the process alone, if it still runs."""
        with self._lock:
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """To the process and what it started, if it still runs."""
        with self._lock:
            if self._process is not None and self._process.returncode is None:
                os.killpg(self._process.pid, number)

    def forget(self) -> None:
        """In a process that was forked from ours: close what belongs to the other one, and touch nothing."""
        self._ours.close()
        self._theirs.close()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def _live(self, started: threading.Event) -> None:
        why = ""
        try:
            self._process = self._start()
            started.set()
            self._listen(self._process)
        except (EOFError, ConnectionError):
            pass
        except (OSError, BrokenBridge) as broken:
            why = str(broken)
        finally:
            self.lost = self._reap(why)
            self.peer.lose(self.lost)
            self._ours.close()
            shutil.rmtree(self._temporary, ignore_errors=True)
            self.ended.set()
            started.set()

    def _start(self) -> subprocess.Popen[bytes]:
        told = json.dumps(
            {
                "socket": self._theirs.fileno(),
                "parent": os.getpid(),
                "role": self.peer.role,
                "where": f"process {os.getpid()}, Python {sys.version.split()[0]}",
                "message_bytes": self._limits.message_bytes,
                "calls": self._limits.calls,
                "bytes_in_flight": self._limits.bytes_in_flight,
                "stop_s": self._limits.stop_s,
            }
        )
        with self._theirs:
            self._temporary = tempfile.mkdtemp(prefix="sp-")  # short: a socket below it may have 107 characters
            return subprocess.Popen(
                [str(self._python), "-s", "-c", BOOT, str(PACKAGE), told],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(self._theirs.fileno(),),
                start_new_session=True,
                env=environment_of(self._python, os.environ) | {"TMPDIR": self._temporary},
                bufsize=0,
            )

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        printed = process.stdout.fileno()
        os.set_blocking(printed, False)
        poll = select.poll()
        for end in (self._ours.fileno(), printed):
            poll.register(end, select.POLLIN)
        while True:
            for end, _ in poll.poll(self._tick_s * 1000):
                if end == printed and not self._output.read_from(printed):
                    poll.unregister(printed)
                elif end == self._ours.fileno():
                    self.peer.receive()
            self._watch()

    def _watch(self) -> None:
        """Ask for a sign of life while something waits for it; end what gives none."""
        now, before = time.monotonic(), self._watched_at
        self._watched_at = now
        self.peer.tidy()
        if self.peer.heard or not self.peer.waits:
            self._silent_s, self.peer.heard = 0.0, False
            return
        # When this process was stopped itself, the child had no part in the silence.
        self._silent_s += min(now - before, 2 * self._tick_s)
        if self._silent_s > self._limits.silence_s:
            self._silent = True
            self.kill()
        elif self._silent_s > self._limits.silence_s / 4:
            self.peer.ping()

    def _reap(self, why: str) -> Lost:
        """Wait for its end, and kill it when none comes: the socket is closed, so nothing else can be asked of it."""
        process = self._process
        if process is None:
            return Lost(f"{self._where} could not be started", got=why, next_command=f"{self._python} --version")
        _await_exit(process.pid, self._limits.stop_s if self._stopping else GRACE_S)
        with self._lock:
            _end_group(process.pid)
            process.wait()
        assert process.stdout is not None
        self._output.read_from(process.stdout.fileno())
        process.stdout.close()
        return Lost(f"{self._where} died", got=self._last_words(process.returncode, why))

    def _last_words(self, code: int, why: str) -> str:
        how = f"exit code {code}" if code >= 0 else f"{signal.Signals(-code).name} (signal {-code})"
        if self._silent:
            how = f"no sign of life for {self._limits.silence_s:g} s; it was killed"
        elif why:
            how = f"{why}; it was ended"
        tail = self._output.tail()
        return f"{how}; it last printed:\n{tail}" if tail else f"{how}; it had printed nothing"


def environment_of(python: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """Our variables without those that lead to our packages, and with the environment's own commands first."""
    kept = {name: value for name, value in ours.items() if name not in FORGOTTEN}
    return kept | {"PATH": os.pathsep.join([str(python.parent), ours.get("PATH", os.defpath)])}


def _await_exit(pid: int, seconds: float) -> None:
    """Without reaping it, so that its group's number cannot be another's yet."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.005)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nothing of its group is left
