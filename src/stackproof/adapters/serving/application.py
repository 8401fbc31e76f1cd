"""The HTTP application: one table of routes, everything else is refused."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from stackproof.adapters.serving.deployment import Version
from stackproof.adapters.serving.doorkeeper import Doorkeeper
from stackproof.adapters.serving.inference import Inference
from stackproof.adapters.serving.metrics import CONTENT_TYPE
from stackproof.adapters.serving.refusals import Refusal
from stackproof.adapters.serving.responses import error_response, json_response
from stackproof.roles.serving import TensorSpec

SERVER_NAME = "stackproof"
_READ = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table: the path, the methods allowed there, the method of `Application` that answers."""

    path: str
    methods: tuple[str, ...]
    handler: str


ENDPOINTS = (
    Endpoint("/v2/models/{name}/infer", ("POST",), "infer"),
    Endpoint("/v2/models/{name}/versions/{version}/infer", ("POST",), "infer"),
    Endpoint("/v2/models/{name}/ready", _READ, "model_ready"),
    Endpoint("/v2/models/{name}/versions/{version}/ready", _READ, "model_ready"),
    Endpoint("/v2/models/{name}", _READ, "model_metadata"),
    Endpoint("/v2/models/{name}/versions/{version}", _READ, "model_metadata"),
    Endpoint("/v2/health/live", _READ, "live"),
    Endpoint("/v2/health/ready", _READ, "ready"),
    Endpoint("/v2", _READ, "server_metadata"),
    Endpoint("/metrics", _READ, "metrics"),
)


class Application:
    """Turns requests into calls of `Inference`. `hosts`: allowed Host names beside the loopback ones."""

    def __init__(self, inference: Inference, hosts: tuple[str, ...], server_version: str) -> None:
        self._inference = inference
        self._server_version = server_version
        self.starlette = Starlette(
            routes=[self._route(endpoint) for endpoint in ENDPOINTS],
            exception_handlers={HTTPException: _http_error, Refusal: _refusal, Exception: _internal_error},
        )
        self.starlette.router.redirect_slashes = False
        self.asgi: ASGIApp = Doorkeeper(self.starlette, hosts)

    def _route(self, endpoint: Endpoint) -> StarletteRoute:
        handler: Callable[[Request], Awaitable[Response]] = getattr(self, endpoint.handler)
        return StarletteRoute(endpoint.path, handler, methods=list(endpoint.methods))

    async def infer(self, request: Request) -> Response:
        return await self._inference.answer(request, *_target(request))

    async def model_ready(self, request: Request) -> Response:
        name, number = _target(request)
        self._inference.versions(name, number)
        return json_response({"name": name, "ready": True})

    async def model_metadata(self, request: Request) -> Response:
        name, number = _target(request)
        versions = self._inference.versions(name, number)
        return json_response(_metadata(name, versions))

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        ready = self._inference.ready
        return json_response({"ready": ready}, 200 if ready else 503)

    async def server_metadata(self, request: Request) -> Response:
        return json_response({"name": SERVER_NAME, "version": self._server_version, "extensions": []})

    async def metrics(self, request: Request) -> Response:
        return Response(self._inference.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _target(request: Request) -> tuple[str, str | None]:
    return request.path_params["name"], request.path_params.get("version")


def _metadata(name: str, versions: Mapping[str, Version]) -> dict[str, Any]:
    """Of the version with the largest weight, where several are asked for."""
    main = max(versions.values(), key=lambda version: version.route.weight)
    signature = main.package.signature
    return {
        "name": name,
        "versions": list(versions),
        "platform": signature.format,
        "inputs": [_described(spec) for spec in signature.inputs],
        "outputs": [_described(spec) for spec in signature.outputs],
        "parameters": {"views": {view: list(keys) for view, keys in signature.views}},
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": [-1]}
    if spec.categories or spec.required:
        described["parameters"] = {"categories": list(spec.categories), "required": spec.required}
    return described


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    what = {
        404: f"There is nothing at {path!r}. Allowed: the paths of Open Inference Protocol v2 and /metrics.",
        405: f"{request.method[:20]} is not allowed at {path!r}.",
    }.get(error.status_code, error.detail)
    return error_response(error.status_code, what, error.headers)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error_response(error.status, error.message, error.headers)


async def _internal_error(request: Request, error: Exception) -> Response:
    return error_response(500, "The server failed at this request; its log says why.")
