"""The embedded model server: Starlette on uvicorn, one process, one worker."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from typing import ClassVar

from stackproof.adapters.serving.application import Application
from stackproof.adapters.serving.deployment import bring_live
from stackproof.adapters.serving.doorkeeper import LOOPBACK
from stackproof.adapters.serving.imports import lean_imports
from stackproof.adapters.serving.inference import Inference, Limits, Sources
from stackproof.adapters.serving.listening import HttpServer, bind
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog
from stackproof.store import new_id

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """Serves xgboost and ONNX models over Open Inference Protocol v2, in the process that calls `run`."""

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"serve", "canary"})
    options: ClassVar[Mapping[str, Option]] = {
        "max_rows": Option("integer", "Most rows that one request may hold", 4096),
        "max_body_bytes": Option("integer", "Largest request body", 4 * 1024 * 1024),
        "max_in_flight": Option("integer", "Infer requests under way at once; more get 429", 64),
        "body_seconds": Option("number", "Longest wait for a request's body", 10.0),
        "log_seconds": Option("number", "Longest wait for the prediction log", 10.0),
        "allowed_hosts": Option(
            "string", "Host names by which others reach this server, with commas; loopback names always work", ""
        ),
    }

    def __init__(self, setting: Setting) -> None:
        self._options = {name: option.default for name, option in self.options.items()} | dict(setting.options)
        self._running: set[HttpServer] = set()
        self._lock = threading.Lock()

    def health(self) -> Health:
        return Health(ok=True, version=version("starlette"), detail="runs in the process that serves")

    def close(self) -> None:
        """Stop what runs, as SIGTERM does."""
        with self._lock:
            for server in self._running:
                server.should_exit = True

    def run(
        self,
        deployment: Deployment,
        *,
        features: OnlineFeatures | None,
        log: PredictionLog,
        host: str,
        port: int,
        on_ready: Callable[[str], None],
        updates: Callable[[], Deployment | None] | None = None,
    ) -> None:
        """See `ModelServer.run`. Also returns after `close`."""
        limits, hosts = self._limits(), self._hosts(host)
        # In the main thread, the process does nothing else until it is told to stop.
        owns_process = threading.current_thread() is threading.main_thread()
        with lean_imports() if owns_process else nullcontext():
            live = bring_live(deployment)
        inference = Inference(live, features, log, limits, _sources())
        application = Application(inference, hosts, version("stackproof"))
        try:
            with bind(host, port) as listener:
                server = HttpServer(application.asgi, inference, listener, host, on_ready, updates)
                self._run(server)
        finally:
            inference.close()

    def _run(self, server: HttpServer) -> None:
        with self._lock:
            self._running.add(server)
        try:
            server.serve_until_stopped()
        finally:
            with self._lock:
                self._running.discard(server)

    def _limits(self) -> Limits:
        given = {name: self._options[name] for name in Limits.__slots__}
        faults = [
            f"{name} is {value!r}; allowed: a number above 0"
            for name, value in given.items()
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0
        ]
        if faults:
            raise RefusedInput("The options of the server cannot be used", faults=faults)
        return Limits(**given)  # type: ignore[arg-type]  # checked just above; stack.toml's schema checks the kinds

    def _hosts(self, host: str) -> tuple[str, ...]:
        allowed = [name.strip() for name in str(self._options["allowed_hosts"] or "").split(",")]
        hosts = tuple(name for name in allowed if name)
        if host not in LOOPBACK and not hosts:
            raise RefusedInput(
                "The server asks for no credentials, so it listens to other machines only when told to",
                got=f"host {host}",
                allowed="a loopback host, or the option allowed_hosts with the names by which others reach it",
                next_command="stackproof serve --host 127.0.0.1",
            )
        return (*hosts, host)


def _sources() -> Sources:
    return Sources(
        now=lambda: datetime.now(UTC),
        elapsed=time.perf_counter,
        new_request_id=lambda: str(uuid.uuid4()),
        new_prediction_id=lambda: new_id("prediction"),
    )
