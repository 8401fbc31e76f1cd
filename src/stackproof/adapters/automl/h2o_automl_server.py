"""H2O's own server: one Java process on loopback, with its files below the home, as long as this process needs it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from uuid import uuid4

from stackproof.errors import NotFound, Unavailable

START_S = 180.0
STOP_S = 10.0
POLL_S = 0.2
GET_JAVA = "apt-get install openjdk-17-jre-headless"
UNTIL_WE_END = """
import ctypes, signal, subprocess, sys, threading
def end_with_us():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
java = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=end_with_us)
threading.Thread(target=lambda: (sys.stdin.buffer.read(), java.kill()), daemon=True).start()
sys.exit(java.wait())
"""
"""Starts Java, and ends it when this process closes the pipe, in whatever way it ends."""


def java_program() -> str:
    """Raises `NotFound`."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise NotFound("H2O needs Java, and none is installed", allowed="Java 8 to 17", next_command=GET_JAVA)
    return found


class Server:
    """`memory_gb`: of Java's heap; 0 leaves it to Java, which takes a quarter of the machine's."""

    def __init__(self, home: Path, *, threads: int, memory_gb: int) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._memory = [f"-Xmx{memory_gb}g"] if memory_gb else []
        self._threads = ["-nthreads", str(threads)] if threads else []

    @property
    def url(self) -> str:
        """Of the running server, "" for none. Its UI, Flow, is at the same address."""
        running = self._process is not None and self._process.poll() is None
        return f"http://127.0.0.1:{self._port}" if running and self._port else ""

    def ensure(self) -> str:
        """Its address, once it answers. Raises `Unavailable`, and `NotFound` where there is no Java."""
        with self._lock:
            if self.url and _answers(self.url):
                return self.url
            self._kill()
            self._start()
            until = time.monotonic() + START_S
            while not _answers(self.url):
                if not self.url or time.monotonic() > until:
                    said = self.last_words()
                    self._kill()
                    raise Unavailable("H2O's server did not start", got=said, allowed=f"{START_S:.0f} s for its start")
                time.sleep(POLL_S)
            return self.url

    def end(self) -> None:
        """Idempotent."""
        with self._lock:
            self._kill()

    def last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        return "\n".join(said.splitlines()[-8:]) or "it said nothing"

    def _start(self) -> None:
        jar = Path(str(import_module("h2o").__file__)).parent / "backend" / "bin" / "h2o.jar"
        self._port = _free_port()
        own = self._home / "cluster"  # it would look for others of its name, were it not told that it is alone
        own.mkdir(exist_ok=True)
        (own / "flatfile").write_text(f"127.0.0.1:{self._port}\n")
        command: Sequence[str] = [
            *(java_program(), *self._memory, "-Dsys.ai.h2o.telemetry.disabled=true"),
            *(f"-Djava.io.tmpdir={own}", "-jar", str(jar)),  # it unpacks 150 MB there, and leaves them when it is ended
            *("-ip", "127.0.0.1", "-web_ip", "127.0.0.1", "-port", str(self._port), *self._threads),
            *("-name", f"stackproof-{uuid4().hex[:12]}", "-flatfile", str(own / "flatfile")),
            *("-ice_root", str(own), "-log_dir", str(self._home / "logs"), "-log_level", "WARN"),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", UNTIL_WE_END, *command], stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def _kill(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
            self._process.kill()
            self._process.wait()
        self._process = None
        shutil.rmtree(self._home / "cluster", ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self._home / "server.log"


def _answers(url: str) -> bool:
    if not url:
        return False
    try:
        with urllib.request.urlopen(f"{url}/3/Cloud?skip_ticks=true", timeout=10) as answer:  # noqa: S310  # on loopback
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _free_port() -> int:
    """H2O takes this port for its API and the next one for itself."""
    while True:
        with ExitStack() as held:
            first, second = (held.enter_context(socket.socket()) for _ in range(2))
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port
