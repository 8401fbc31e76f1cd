"""A BentoML service around Open Inference Protocol v2, and the worker that serves it in this process."""

import atexit
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from stackproof.adapters.serving.application import Application
from stackproof.adapters.serving.bentoml_store import stored, tag_of
from stackproof.adapters.serving.deployment import LiveDeployment
from stackproof.adapters.serving.doorkeeper import Doorkeeper
from stackproof.adapters.serving.inference import Inference
from stackproof.adapters.serving.listening import HttpServer, bind
from stackproof.adapters.serving.responses import json_response
from stackproof.adapters.serving.tool_inference import bring_live_from, counting_anew, inferring, logging_as_it_is
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog

PAGE = "/docs"
"""Where BentoML's own page is: the protocol has nothing at /."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve; `limits` are those of `BENTO_LIMITS` by name."""

    home: Path
    limits: dict[str, float]
    hosts: tuple[str, ...]
    access_log: bool


@contextmanager
def working(
    serving: Serving,
    deployment: Deployment,
    features: OnlineFeatures | None,
    log: PredictionLog,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    updates: Callable[[], Deployment | None] | None,
) -> Iterator["Worker"]:
    """A worker that is ready to serve. Raises as `ModelServer.run`."""
    with ExitStack() as held:
        _set_environment(serving.home)
        held.enter_context(counting_anew())
        live = live_from_store(deployment)
        inference = held.enter_context(inferring(live, features, log, serving.limits))
        listener = held.enter_context(bind(host, port))
        yield Worker(application(serving, inference), inference, listener, host, on_ready, updates)


class Worker(HttpServer):
    """What BentoML's own worker process is: uvicorn with the application of the service."""

    def __init__(
        self,
        app: ASGIApp,
        inference: Inference,
        listener: socket.socket,
        host: str,
        on_ready: Callable[[str], None],
        updates: Callable[[], Deployment | None] | None,
    ) -> None:
        super().__init__(app, inference, listener, host, on_ready, updates)
        self.config.lifespan = "on"  # BentoML makes the service's instance in it

    def _switch(self, updates: Callable[[], Deployment | None]) -> None:
        deployment = updates()
        if deployment is not None:
            self._inference.switch_to(live_from_store(deployment, self._inference.live))


def live_from_store(deployment: Deployment, before: LiveDeployment | None = None) -> LiveDeployment:
    """As `bring_live`, with each model that `before` has not loaded opened from BentoML's store."""
    return bring_live_from(deployment, before, stored)


def application(serving: Serving, inference: Inference) -> Starlette:
    """BentoML's application of the service, with the protocol mounted in it."""
    protocol = Protocol(inference, serving.hosts, version("bentoml"))
    service = _service(serving, inference)
    service.mount_asgi_app(protocol.starlette)
    service.add_asgi_middleware(Door, hosts=serving.hosts)
    _name_in_metrics(service, inference.live.deployment)
    with logging_as_it_is():
        app: Starlette = service.to_asgi(is_main=True)
    if serving.access_log:
        _write_accesses()
    app.router.redirect_slashes = False
    app.add_exception_handler(HTTPException, protocol.starlette.exception_handlers[HTTPException])
    _move_page(app)
    return app


class Door(Doorkeeper):
    """Behind it is a whole application: it hears of its start and end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Protocol(Application):
    """Open Inference Protocol v2, served by BentoML."""

    async def server_metadata(self, request: Request) -> Response:
        return json_response({"name": "bentoml", "version": version("bentoml"), "extensions": []})


def _service(serving: Serving, inference: Inference) -> Any:
    bentoml, deployment = import_module("bentoml"), inference.live.deployment

    class Served:
        """The models of one deployment, over Open Inference Protocol v2."""

        async def __metrics__(self, content: str) -> str:
            return content + inference.metrics.text()

    name = tag_of(deployment.name, 0).partition(":")[0]
    return bentoml.service(
        name=name,
        description=f"The deployment {deployment.name}, run by Stackproof",
        labels={"source": "stackproof"},
        workers=1,
        traffic={"timeout": serving.limits["timeout"], "max_concurrency": int(serving.limits["max_in_flight"])},
        logging={"access": {"enabled": serving.access_log}},
        # BentoML lets these two through, however many requests are under way.
        endpoints={"livez": "/v2/health/live", "readyz": "/v2/health/ready"},
    )(Served)


def _name_in_metrics(service: Any, deployment: Deployment) -> None:
    """As BentoML's worker does before it serves."""
    context = import_module("bentoml._internal.context").server_context
    context.service_type, context.service_name, context.worker_index = "entry_service", service.name, 1
    context.bento_name, context.bento_version = service.name, deployment.id


def _move_page(app: Starlette) -> None:
    for index, route in enumerate(app.router.routes):
        if isinstance(route, StarletteRoute) and route.name == "index":
            app.router.routes[index] = StarletteRoute(PAGE, route.endpoint, name="index")


def _write_accesses() -> None:
    logger = logging.getLogger("bentoml.access")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(sys.stdout))


def _set_environment(home: Path) -> None:
    """BentoML reads these when it is first imported, and before it would send anything."""
    os.environ["BENTOML_HOME"] = str(home)
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder()


@cache
def _metrics_folder() -> str:
    """Where BentoML counts; one for the process, since its library keeps the files open."""
    folder = tempfile.mkdtemp(prefix="bentoml-metrics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
