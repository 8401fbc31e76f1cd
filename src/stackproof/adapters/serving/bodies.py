"""Reading a request's body within its limits, and refusing one that is too large."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stackproof.adapters.serving.refusals import Refusal, too_large

DRAINED_BYTES = 32 * 1024 * 1024
DRAINED_SECONDS = 2.0


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body. Raises `Refusal` when it is larger than `limit` or arrives too slowly."""
    stated = request.headers.get("content-length", "0")
    if len(stated) > 18 or int(stated) > limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(request, limit)
    except TimeoutError as slow:
        message = f"The request body did not arrive in time. Allowed: {seconds:g} s."
        raise Refusal(408, "slow_body", message, {"Connection": "close"}) from slow
    except ClientDisconnect as gone:
        raise Refusal(400, "disconnected", "The client went away before its request was complete.") from gone


async def _collect(request: Request, limit: int) -> bytes:
    chunks, total = [], 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class DrainingResponse(Response):
    """Answers at once, then discards a bounded rest of the body before the connection is closed.

    A client that writes everything before it reads would otherwise see a reset instead of the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(DRAINED_SECONDS):
                await _discard(receive)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    discarded = 0
    while discarded < DRAINED_BYTES:
        message = await receive()
        discarded += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
