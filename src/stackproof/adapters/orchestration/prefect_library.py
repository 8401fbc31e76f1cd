"""Prefect's library and its API server, with settings of ours alone: a person's profile and its cloud stay out."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from stackproof.errors import Unavailable
from stackproof.roles.adapter import PORT, ServerSpec

START_S = 180.0
STOP_S = 5.0
POLL_S = 0.1
PAGE = 200
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
UNTIL_WE_END = """
import os, sys, threading, uvicorn
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
uvicorn.main()
"""
"""The server's program: uvicorn's own, that ends when this process closes the pipe, in whatever way it ends."""

_importing = threading.Lock()


class Server:
    """Prefect's API on a free loopback port, with its SQLite file in `home`, as long as this process needs it.

    It answers only the library: the UI of Prefect is shown by a server of one's own, which the option `api_url` names.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._port = 0
        self._starting = False
        self._has_answered = False

    @property
    def url(self) -> str:
        """Of the running server, "" for none."""
        running = self._process is not None and self._process.poll() is None
        return self._url if running else ""

    def begin(self) -> None:
        """Start it, or start it again when it no longer answers. Returns before it answers."""
        with self._lock:
            if self.url and (self._starting or answers(self._url)):
                return
            self._kill()
            self._starting = True
            # The same port again: Prefect's background threads keep the address that they were started with.
            port = self._port = self._port or _free_port()
            self._url = f"http://127.0.0.1:{port}/api"
            command = [
                *(sys.executable, "-c", UNTIL_WE_END, "--factory", "prefect.server.api.server:create_app"),
                *("--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"),
            ]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=_without_prefects(os.environ) | settings(self._home) | _OF_A_SMALL_SERVER,
                )

    def watch(self) -> None:
        """Start it again when it died; Prefect itself waits for an answer meanwhile."""
        if self._process is not None and not self.url:
            self.begin()

    def wait(self) -> str:
        """Its address, once it answers. One that died since it was looked at gets one more start.

        Raises `Unavailable`.
        """
        until, again = time.monotonic() + START_S, self._has_answered
        while not answers(self._url):
            if not self.url and again:
                again = False
                self.begin()
            elif not self.url:
                self._port = self._port if self._has_answered else 0  # it may be another's by now
                raise Unavailable("Prefect's server ended while it started", got=self._last_words())
            if time.monotonic() > until:
                self.end()
                raise Unavailable(
                    "Prefect's server did not start", got=self._last_words(), allowed=f"{START_S:.0f} s for its start"
                )
            time.sleep(POLL_S)
        self._starting, self._has_answered = False, True
        return self._url

    def end(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_S)
            self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
        self._process, self._starting = None, False

    @property
    def _log(self) -> Path:
        return self._home / "server.log"

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip() if self._log.exists() else ""
        return "\n".join(said.splitlines()[-10:]) or "it said nothing"


_OF_A_SMALL_SERVER = {
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    # As Prefect starts the servers that it calls temporary: without its schedulers.
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}


def server_on(home: Path, python: Path, port: int) -> ServerSpec:
    """The server that `stackproof up` starts, on the database that runs would otherwise start one of their own on.

    While it runs, runs use it: two servers on one SQLite file would each bring its tables up to date.
    """
    address = f"http://127.0.0.1:{PORT}"
    return ServerSpec(
        name="prefect",
        arguments=(str(python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", PORT),
        folder=home,
        url=address,
        health=f"{address}/api/health",
        # It writes its UI there; in the tool's environment, which projects share, nothing is written.
        variables=settings(home)
        | {"PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"), "PREFECT_SERVER_UI_API_URL": f"{address}/api"},
        without=("PREFECT_",),
        options={"api_url": f"{address}/api"},
        port=port,
        start_s=START_S,
    )


def settings(home: Path) -> dict[str, str]:
    """What Prefect would otherwise take from the person's home folder, and no telemetry of its library and server."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


def imported(home: Path) -> Any:
    """The package `prefect`. It reads its settings when it is imported, so that these hold then and no others."""
    with _importing:
        if "prefect" not in sys.modules:
            before = dict(os.environ)
            os.environ.clear()
            os.environ.update(_without_prefects(before) | settings(home))
            try:
                import_module("prefect.task_runners")
            finally:
                os.environ.clear()
                os.environ.update(before)
        os.environ["DO_NOT_TRACK"] = "1"  # it looks again before it sends
        return import_module("prefect")


@contextmanager
def talking_to(url: str, auth: str) -> Iterator[None]:
    """Inside, Prefect talks to this server alone."""
    names = import_module("prefect.settings")
    told = {names.PREFECT_API_URL: url, names.PREFECT_API_KEY: None, names.PREFECT_API_AUTH_STRING: auth or None}
    with names.temporary_settings(updates=told):
        yield


def answers(url: str) -> bool:
    """Whether a Prefect server answers at this address of its API."""
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310  # the scheme was looked at
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def flow_runs(url: str, tag: str, auth: str) -> list[str]:
    """The identifiers of the flow runs with this tag, oldest first. Raises `Unavailable`."""
    wanted = {"flow_runs": {"tags": {"all_": [tag]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [str(run["id"]) for run in _posted(url, "flow_runs/filter", wanted, auth)]


def crash(url: str, flow_run: str, auth: str, why: str) -> None:
    """Record that this flow run crashed, with its tasks, as far as they have not ended. Raises `Unavailable`."""
    wanted = {"flow_runs": {"id": {"any_": [flow_run]}}}
    state = {"state": {"type": "CRASHED", "name": "Crashed", "message": why}, "force": True}
    for kind in ("task_runs", "flow_runs"):
        for first in count(step=PAGE):
            page = _posted(url, f"{kind}/filter", wanted | {"limit": PAGE, "offset": first}, auth)
            for run in page:
                if run["state_type"] not in ENDED:
                    _posted(url, f"{kind}/{run['id']}/set_state", state, auth)
            if len(page) < PAGE:
                break


def _posted(url: str, path: str, body: Mapping[str, Any], auth: str) -> Any:
    """What the server answers. Raises `Unavailable`."""
    headers = {"Content-Type": "application/json"}
    if auth:
        headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
    request = urllib.request.Request(f"{url}/{path}", json.dumps(body).encode(), headers)  # noqa: S310  # an address of http, as `answers` asks
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # the same
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        refused.close()
        raise Unavailable("The Prefect server answers with an error", got=f"{url}/{path}: {refused}") from refused
    except (OSError, ValueError) as error:
        raise Unavailable("The Prefect server does not answer", got=f"{url}: {error}") from error


def _without_prefects(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
