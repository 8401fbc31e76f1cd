"""A server under its guard, as the supervisor has it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from stackproof.envs.bridge.process import environment_of
from stackproof.roles.adapter import ServerSpec
from stackproof.stack.servers import guard
from stackproof.stack.servers.places import Places
from stackproof.stack.servers.plan import Patience

ANSWER_S = 5.0
GRACE_S = 10.0


class Guarded:
    """Starts at once. Used by one thread."""

    def __init__(self, spec: ServerSpec, places: Places, patience: Patience) -> None:
        charge = guard.Charge(
            arguments=spec.arguments,
            folder=str(spec.folder),
            environment=_environment(spec),
            ready=spec.ready,
            lock=str(places.guard(spec.name)),
            log=str(places.log(spec.name)),
            log_bytes=patience.log_bytes,
            log_files=patience.log_files,
            stop_s=patience.stop_s,
        )
        self._stop_s = patience.stop_s
        self.pid = 0
        self.ready = False
        self.ended = ""
        self._unread = b""
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError):  # it died already: `ended` will say so
            _write_all(self._guard.stdin.fileno(), json.dumps(asdict(charge)).encode() + b"\n")

    def listen(self, seconds: float) -> None:
        """Wait so long for news of it: then `pid`, `ready` and `ended` say how it is."""
        assert self._guard.stdout is not None
        if self.ended:
            return
        if not select.select([self._guard.stdout], [], [], seconds)[0]:
            return
        data = os.read(self._guard.stdout.fileno(), 65536)
        if not data:
            self._lost()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            self.pid = told.get("pid", self.pid)
            self.ready = told.get("ready", self.ready)
            self.ended = told.get("ended") or told.get("failed") or ""

    def stop(self) -> None:
        """End it with all that it started; returns when nothing of it runs."""
        assert self._guard.stdin is not None
        assert self._guard.stdout is not None
        self._guard.stdin.close()
        until = time.monotonic() + self._stop_s + GRACE_S
        while not self.ended and time.monotonic() < until:
            self.listen(0.5)
        try:
            self._guard.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._lost()
        self._guard.stdout.close()

    def _lost(self) -> None:
        """The guard is gone. The server died with it and is our child now, if it had begun, and so are its orphans."""
        self._guard.wait()
        self.ended = self.ended or "its guard was killed"
        if self.pid:
            with suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)  # raises if it is none of ours
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


def why_unwell(address: str) -> str:
    """ "" when the address answers with a status of 200 to 299, else what it did instead."""
    asked = Request(address, headers={"User-Agent": "stackproof"})  # noqa: S310  # our own or an adapter's
    try:
        with build_opener(ProxyHandler({})).open(asked, timeout=ANSWER_S) as answer:
            return "" if 200 <= answer.status < 300 else f"{address} answers {answer.status}"
    except HTTPError as error:
        with error:
            return f"{address} answers {error.code}"
    except (OSError, ValueError) as error:
        return f"{address} does not answer: {getattr(error, 'reason', None) or error}"


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a log, without our own lines; fewer when it has fewer."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    said = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("[stackproof]")]
    return said[-count:]


def _environment(spec: ServerSpec) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(spec.without)}
    return environment_of(Path(spec.arguments[0]), ours) | dict(spec.variables)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
