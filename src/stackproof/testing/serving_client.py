"""Starting a server under test as a process, and speaking to it with the standard library alone."""

import dataclasses
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from stackproof.roles.serving import Deployment
from stackproof.testing.serving_process import DURABLE

START_SECONDS = 60
STOP_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; `content` is the parsed JSON, or the text when it is none."""

    status: int
    headers: Mapping[str, str]
    content: Any


class ServerProcess:
    """The adapter's `run` in a child process. `folder` gets its log, its control files and its errors."""

    def __init__(
        self,
        suite: type,
        suite_file: str,
        folder: Path,
        deployment: Deployment,
        features: Mapping[str, Any],
        port: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "home").mkdir(exist_ok=True)
        self.log_path, self.mode_path, self.updates_path = (
            folder / name for name in ("log.jsonl", "mode", "updates.json")
        )
        self.set_log(DURABLE)
        config = {
            "suite_file": suite_file,
            "suite_name": suite.__qualname__,
            "home": str(folder / "home"),
            "deployment": dataclasses.asdict(deployment),
            "features": features,
            "log": str(self.log_path),
            "updates": str(self.updates_path),
            "port": port,
        }
        config_path = folder / "config.json"
        config_path.write_text(json.dumps(config, default=str), encoding="utf-8")
        self._errors_path = folder / "errors.txt"
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._errors_path.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stackproof.testing.serving_process", str(config_path)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                self._lines.put(line.strip())
        self._lines.put("")

    def said(self) -> str:
        """The next line of the process; "" at its end."""
        try:
            return self._lines.get(timeout=START_SECONDS)
        except queue.Empty:
            raise AssertionError(f"the server said nothing in {START_SECONDS} s: {self.errors()}") from None

    def wait_until_ready(self) -> str:
        """The URL."""
        word, _, self.url = self.said().partition(" ")
        assert word == "ready", f"{word} {self.url} {self.errors()}"
        return self.url

    def errors(self) -> str:
        return self._errors_path.read_text(encoding="utf-8", errors="replace")

    def set_log(self, mode: str) -> None:
        replace_file(self.mode_path, mode)

    def update(self, deployment: Deployment) -> None:
        replace_file(self.updates_path, json.dumps(dataclasses.asdict(deployment), default=str))

    def logged(self) -> list[dict[str, Any]]:
        """The rows of the log; a last line that a kill cut off is left out."""
        lines = self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; its exit status."""
        status = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return status

    def ensure_dead(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)


def replace_file(path: Path, text: str) -> None:
    """A reader sees all of the old or all of the new."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class Client:
    """One connection, kept alive. Not for several threads."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        """`body`: bytes as they are, anything else as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self._connection.request(method, path, content, dict(headers or {}))
        return self.reply()

    def send_chunks(self, path: str, chunks: Iterator[bytes]) -> None:
        """POST without a stated length."""
        self._connection.request("POST", path, chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})

    def reply(self) -> Reply:
        response = self._connection.getresponse()
        raw = response.read()
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = raw.decode(errors="replace")
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, parsed)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(url: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request on a connection of its own."""
    with Client(url) as client:
        return client.ask(method, path, body, headers)
