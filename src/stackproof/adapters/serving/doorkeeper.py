"""Who may speak to the server: known Host names only, and no page of another origin."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from stackproof.adapters.serving.options import LOOPBACK
from stackproof.adapters.serving.responses import error_response


class Doorkeeper:
    """Refuses with 403 a Host that is not allowed (DNS rebinding) and an Origin that is not the Host.

    There is no CORS: no other origin may read an answer, and with this none can send a request.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower().strip("[]") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        problem = self._problem(scope)
        app = self._app if problem is None else error_response(403, problem)
        await app(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        host, origin = "", None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
        if _without_port(host) not in self._hosts:
            return "The Host of the request is not one of this server's. Next: set the option allowed_hosts"
        if origin is not None and origin.partition("://")[2] != host:
            return "Requests from a page of another origin are not answered"
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
