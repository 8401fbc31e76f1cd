"""The embedded model server: Starlette on uvicorn, one process, one worker."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib.metadata import version
from typing import ClassVar

from stackproof.adapters.serving.application import Application
from stackproof.adapters.serving.deployment import bring_live
from stackproof.adapters.serving.imports import lean_imports
from stackproof.adapters.serving.inference import Inference, Limits
from stackproof.adapters.serving.listening import HttpServer, bind
from stackproof.adapters.serving.options import ALLOWED_HOSTS, LIMITS, hosts_of, limits_of
from stackproof.adapters.serving.running import RunningServers
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """Serves xgboost and ONNX models over Open Inference Protocol v2, in the process that calls `run`."""

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"serve", "canary"})
    options: ClassVar[Mapping[str, Option]] = {**LIMITS, **ALLOWED_HOSTS}

    def __init__(self, setting: Setting) -> None:
        self._options = {name: option.default for name, option in self.options.items()} | dict(setting.options)
        self._running = RunningServers()

    def health(self) -> Health:
        return Health(ok=True, version=version("starlette"), detail="runs in the process that serves")

    def close(self) -> None:
        """Stop what runs, as SIGTERM does."""
        self._running.stop()

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
        limits, hosts = Limits.of(limits_of(self._options)), hosts_of(self._options, host)
        # In the main thread, the process does nothing else until it is told to stop.
        owns_process = threading.current_thread() is threading.main_thread()
        with lean_imports() if owns_process else nullcontext():
            live = bring_live(deployment)
        inference = Inference(live, features, log, limits)
        application = Application(inference, hosts, version("stackproof"))
        try:
            with bind(host, port) as listener:
                server = HttpServer(application.asgi, inference, listener, host, on_ready, updates)
                self._running.serve(server)
        finally:
            inference.close()
