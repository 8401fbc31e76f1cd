"""Two lines for a FastAPI or Starlette service, or any other ASGI application: its predictions are recorded.

from stackproof import RecordPredictions
app.add_middleware(RecordPredictions, deployment="delay", path="/predict", project="/srv/delay")
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from stackproof.stack.exchanges import rows_of
from stackproof.stack.recorder import Counts, Exchange, Recorder, Rows
from stackproof.store import new_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADER = b"x-prediction-id"
REQUEST_ID = b"x-request-id"
MOST_BYTES = 4 * 1024 * 1024
WAIT_S = 5.0


class RecordPredictions:
    """ASGI middleware. Records each request to `path` that is answered with 2xx, with its answer, as predictions.

    `deployment`: the name that `stackproof attach service` was given. `path`: as the client asks for it; "*" stands
    for any text. `project`: the folder where it was attached ($STACKPROOF_HOME goes first). `rows`: makes of the JSON
    of request and answer the inputs and outputs of each row, where `stackproof.stack.exchanges.rows_of` can't.

    Recording happens in the background: an answer is not held up, and is on disk some milliseconds later; a process
    that is killed loses what was not. With `durable` an answer ends only once it is on disk, or after five seconds
    (which counts as `late`). Nothing that fails here fails a request: it is counted in `counts`, logged as
    "stackproof.attach", and left in the ledger as a gap. The answer's header `x-prediction-id` is what
    `stackproof trace` takes.
    """

    def __init__(
        self,
        app: App,
        *,
        deployment: str,
        path: str = "/predict",
        project: str | Path = ".",
        durable: bool = False,
        rows: Rows = rows_of,
        waiting: int = 10_000,
    ) -> None:
        self.app = app
        self.late = 0
        self._path = path
        self._durable = durable
        self._home = Path(os.environ.get("STACKPROOF_HOME") or Path(project) / ".stackproof").resolve()
        self._new = partial(Recorder, self._home, deployment, rows=rows, waiting=waiting)
        self._recorder = self._new()
        self._process = os.getpid()

    @property
    def counts(self) -> Counts:
        """What became of this process's requests."""
        return self._recorder.counts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and fnmatchcase(scope["path"], self._path):
            await _Heard(self, scope).run(receive, send)
            return
        await self.app(scope, receive, self._last(send) if scope["type"] == "lifespan" else send)

    def _last(self, send: Send) -> Send:
        """The server ends the process once it hears that the application has ended: what waits is written before."""

        async def said(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(self.recorder().close)
            await send(message)

        return said

    def recorder(self) -> Recorder:
        """This process's own: threads don't survive a fork."""
        if self._process != os.getpid():
            self._process, self._recorder = os.getpid(), self._new()
        return self._recorder

    @property
    def durable(self) -> bool:
        return self._durable


class _Heard:
    """One request, listened to while it passes."""

    def __init__(self, service: RecordPredictions, scope: Message) -> None:
        self._service = service
        self._scope = scope
        self._id = new_id("prediction")
        self._asked: list[bytes] = []
        self._answered: list[bytes] = []
        self._size = 0
        self._good = False

    async def run(self, receive: Receive, send: Send) -> None:
        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._keep(self._asked, message.get("body", b""))
            return message

        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._good = 200 <= message["status"] < 300
                if self._good:
                    message = {**message, "headers": [*message.get("headers", ()), (HEADER, self._id.encode())]}
            elif message["type"] == "http.response.body":
                self._keep(self._answered, message.get("body", b""))
                if self._good and not message.get("more_body", False):
                    await self._record()
            await send(message)

        await self._service.app(self._scope, heard, said)

    def _keep(self, kept: list[bytes], part: bytes) -> None:
        self._size += len(part)
        if self._size <= MOST_BYTES:
            kept.append(part)

    async def _record(self) -> None:
        recorder = self._service.recorder()
        if self._size > MOST_BYTES:
            recorder.counts.misunderstand(f"a request and its answer of more than {MOST_BYTES} bytes")
            return
        if not self._service.durable:
            recorder.offer(self._exchange(None))
            return
        loop, settled = asyncio.get_running_loop(), asyncio.Event()
        if recorder.offer(self._exchange(lambda _kept: _tell(loop, settled))):
            try:
                await asyncio.wait_for(settled.wait(), WAIT_S)
            except TimeoutError:
                self._service.late += 1

    def _exchange(self, settled: Callable[[bool], None] | None) -> Exchange:
        headers = dict(self._scope.get("headers", ()))
        request_id = headers.get(REQUEST_ID, b"").decode("latin-1") or self._id.partition(":")[2]
        asked, answered = b"".join(self._asked), b"".join(self._answered)
        return Exchange(self._id, request_id, datetime.now(UTC), asked, answered, settled)


def _tell(loop: asyncio.AbstractEventLoop, settled: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(settled.set)
    except RuntimeError:  # the loop has ended: nobody waits
        return
