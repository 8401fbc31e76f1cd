"""Counting what a server answers, whichever part of it answers."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stackproof.adapters.serving.metrics import Metrics


class Counted:
    """Counts each infer request by the status of its answer, and its seconds until the answer begins.

    It is counted before it is sent: who has the answer finds it counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, elapsed: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._metrics = metrics
        self._elapsed = elapsed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/infer"):
            await self._app(scope, receive, send)
            return
        started = self._elapsed()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(message["status"], self._elapsed() - started)
            await send(message)

        await self._app(scope, receive, counting)
