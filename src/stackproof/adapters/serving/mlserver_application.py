"""MLServer's application around a deployment, and the server that serves it in this process."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stackproof.adapters.serving.bodies import read_body
from stackproof.adapters.serving.deployment import LiveDeployment
from stackproof.adapters.serving.doorkeeper import Doorkeeper
from stackproof.adapters.serving.inference import Inference
from stackproof.adapters.serving.listening import HttpServer, bind
from stackproof.adapters.serving.metrics import Metrics
from stackproof.adapters.serving.mlserver_asked import ASKED, SERVED, Asked
from stackproof.adapters.serving.mlserver_repository import SETTINGS, folder_of, live_from_repository
from stackproof.adapters.serving.refusals import Refusal
from stackproof.adapters.serving.responses import error_response
from stackproof.adapters.serving.tool_inference import counting_anew, inferring, logging_as_it_is
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog

LEFT_OUT = re.compile(r"/v2/repository/models/|.*stream$|.*/generate$")
"""MLServer's paths by which anybody could unload a model, get a prediction before it is logged, or one that is not
counted as the protocol's are."""
_VERSION = re.compile(r"/v2/models/[^/]+/versions/([^/]+)/")


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve; `limits` are those of `options.LIMITS` by name."""

    home: Path
    limits: dict[str, float]
    hosts: tuple[str, ...]


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
) -> Iterator[HttpServer]:
    """A server that is ready to serve. Raises as `ModelServer.run`."""
    with ExitStack() as held:
        live = live_from_repository(serving.home, deployment)
        inference = held.enter_context(inferring(live, features, log, serving.limits))
        listener = held.enter_context(bind(host, port))
        held.enter_context(counting_anew())
        held.callback(SERVED.clear)
        registered = Registered(serving.home, inference)
        app = Doorkeeper(Gate(registered.app, serving.limits, inference.metrics), serving.hosts)
        yield _Server(registered, app, inference, listener, host, on_ready, updates)


class Registered:
    """MLServer with the versions of the live deployment in its registry."""

    def __init__(self, home: Path, inference: Inference) -> None:
        self._home = home
        self._inference = inference
        with logging_as_it_is():
            self._server = _mlserver(home)
        self.app = self._server._rest_server._app
        _shape(self.app, inference)
        self._server._data_plane.ready = self._ready
        SERVED[inference.live.deployment.name] = inference
        asyncio.run(self._load(inference.live))

    async def _ready(self) -> bool:
        """Not ready, as well, once the log can't be written."""
        return self._inference.ready

    def switch_to(self, deployment: Deployment) -> None:
        """Versions that are left out stay in the registry, for the requests under way; no new one reaches them."""
        live = live_from_repository(self._home, deployment, self._inference.live)
        SERVED[deployment.name] = self._inference
        asyncio.run(self._load(live))
        self._inference.switch_to(live)

    async def _load(self, live: LiveDeployment) -> None:
        settings = import_module("mlserver.settings").ModelSettings
        for version in live.versions.values():
            path = folder_of(self._home, live.deployment.name, version.route) / SETTINGS
            stated = json.loads(path.read_text(encoding="utf-8"))
            await self._server._model_registry.load(settings.model_validate(stated))


class _Server(HttpServer):
    def __init__(self, registered: Registered, *of_a_server: Any) -> None:
        super().__init__(*of_a_server)
        self._registered = registered

    def _switch(self, updates: Callable[[], Deployment | None]) -> None:
        deployment = updates()
        if deployment is not None:
            self._registered.switch_to(deployment)


class Gate:
    """Reads a request's body within the limits before MLServer does, and keeps it as it came."""

    def __init__(self, app: ASGIApp, limits: dict[str, float], metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._most = int(limits["max_body_bytes"])
        self._seconds = limits["body_seconds"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._body(Request(scope, receive))
        except Refusal as refusal:
            self._metrics.refused(refusal.reason)
            await error_response(refusal.status, refusal.message, refusal.headers)(scope, receive, send)
            return
        named = _VERSION.match(scope["path"])
        ASKED.set(Asked(body, named.group(1) if named else None))
        await self._app(scope, _once(body, receive), send)

    async def _body(self, request: Request) -> bytes:
        if "content-encoding" in request.headers:
            raise Refusal(415, "encoded", "A request with a Content-Encoding is not read. Allowed: plain JSON")
        return await read_body(request, self._most, self._seconds)


def _once(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": waiting.pop(), "more_body": False} if waiting else await receive()

    return replay


def _mlserver(home: Path) -> Any:
    mlserver = import_module("mlserver")

    class WithoutSignals(mlserver.MLServer):  # type: ignore[misc,name-defined]  # MLServer has no types here
        def _add_signal_handlers(self) -> None:
            """The server that listens has them."""

    return WithoutSignals(
        mlserver.Settings(
            debug=False, parallel_workers=0, model_repository_root=str(home / "models"), gzip_enabled=False
        )
    )


def _shape(app: Any, inference: Inference) -> None:
    """Errors in the form of the protocol, metrics on the same port, and nothing that goes round the log."""
    app.router.routes[:] = [route for route in app.router.routes if not LEFT_OUT.match(route.path)]
    app.router.redirect_slashes = False
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(import_module("fastapi.exceptions").RequestValidationError, _malformed)
    generate, content_type = (
        getattr(import_module("prometheus_client"), name) for name in ("generate_latest", "CONTENT_TYPE_LATEST")
    )

    async def metrics(request: Request) -> Response:
        return Response(generate() + inference.metrics.text().encode(), headers={"Content-Type": content_type})

    app.add_route("/metrics", metrics)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = {404: "There is nothing at", 405: f"{request.method[:20]} is not allowed at"}
    text = f"{what.get(error.status_code, error.detail)} {request.url.path[:200]!r}."
    return error_response(error.status_code, text, error.headers)


async def _malformed(request: Request, error: Exception) -> Response:
    """MLServer's own words are about its classes; those of the first fault are enough."""
    first: dict[str, Any] = next(iter(getattr(error, "errors", list)()), {})
    place = ".".join(str(part) for part in first.get("loc", ()))[:200]
    text = f"The request is no infer request. Got: {str(first.get('msg', 'nothing'))[:300]}, at {place or 'its start'}"
    return error_response(400, text)
