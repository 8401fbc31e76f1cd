"""Answers in JSON, by orjson."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from stackproof.adapters.serving.bodies import DrainingResponse

_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def json_response(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, _HEADERS, "application/json")


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """{"error": message}. A 413 leaves the client time to read it."""
    kind = DrainingResponse if status == 413 else Response
    body = orjson.dumps({"error": message})
    return kind(body, status, {**_HEADERS, **(headers or {})}, "application/json")
