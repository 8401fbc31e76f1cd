"""The port, the signals and the life of the server process."""

import asyncio
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from stackproof.adapters.serving.counting import Counted
from stackproof.adapters.serving.deployment import bring_live
from stackproof.adapters.serving.inference import Inference
from stackproof.errors import RefusedInput, StackproofError, Unavailable
from stackproof.roles.serving import Deployment

logger = logging.getLogger(__name__)

BACKLOG = 2048
GRACE_SECONDS = 30
KEEP_ALIVE_SECONDS = 30
UPDATE_SECONDS = 0.5


@contextmanager
def bind(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket. Raises `Unavailable` when the port is in use, `RefusedInput` for an unusable host."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError, OverflowError) as unknown:
        raise RefusedInput(f"The server cannot listen on {host}:{port}", got=unknown) from unknown
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as fault:
            raise _cannot_listen(fault, host, port) from fault
        yield listener


def _cannot_listen(fault: OSError, host: str, port: int) -> StackproofError:
    if fault.errno == errno.EADDRINUSE:
        return Unavailable(
            f"The port {port} of {host} is in use",
            allowed="a free port; 0 takes one",
            next_command="stackproof serve --port 0",
        )
    return RefusedInput(f"The server cannot listen on {host}:{port}", got=fault.strerror)


class HttpServer(uvicorn.Server):
    """uvicorn on a socket that is already bound; tells when it answers, and asks for updates."""

    def __init__(
        self,
        app: ASGIApp,
        inference: Inference,
        listener: socket.socket,
        host: str,
        on_ready: Callable[[str], None],
        updates: Callable[[], Deployment | None] | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                Counted(app, inference.metrics),
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._inference = inference
        self._listener = listener
        self._url = _url(host, listener.getsockname()[1])
        self._on_ready = on_ready
        self._updates = updates
        self._failure: BaseException | None = None

    def serve_until_stopped(self) -> None:
        """Until SIGTERM, SIGINT or `should_exit`. Raises what `on_ready` raised."""
        self.run(sockets=[self._listener])
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again at the end, and `run` would not return."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def main_loop(self) -> None:
        beside = [asyncio.create_task(self._tell_ready())]
        if self._updates is not None:
            beside.append(asyncio.create_task(self._follow(self._updates)))
        try:
            await super().main_loop()
        finally:
            for task in beside:
                task.cancel()

    async def _tell_ready(self) -> None:
        told = asyncio.ensure_future(asyncio.to_thread(self._on_ready, self._url))
        await asyncio.wait([told])
        self._failure = told.exception()
        self.should_exit = self.should_exit or self._failure is not None

    async def _follow(self, updates: Callable[[], Deployment | None]) -> None:
        """A deployment that cannot be loaded is reported, and the one before stays."""
        while True:
            await asyncio.sleep(UPDATE_SECONDS)
            asked = asyncio.ensure_future(asyncio.to_thread(self._switch, updates))
            await asyncio.wait([asked])
            if asked.exception() is not None:
                logger.error("the update is not served, the version before stays: %s", asked.exception())

    def _switch(self, updates: Callable[[], Deployment | None]) -> None:
        deployment = updates()
        if deployment is not None:
            self._inference.switch_to(bring_live(deployment, self._inference.live))


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
