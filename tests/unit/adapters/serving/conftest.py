"""The application without a socket: requests are given to it as ASGI messages."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.serving.application import Application
from stackproof.adapters.serving.counting import Counted
from stackproof.adapters.serving.deployment import LiveDeployment, Version
from stackproof.adapters.serving.inference import Inference, Limits, Sources
from stackproof.adapters.serving.packages import load
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.testing.serving_models import FEATURES, onnx_package, xgboost_package
from stackproof.testing.serving_process import FixedFeatures

FIXED_FEATURES = FixedFeatures(FEATURES)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class MemoryLog:
    """Keeps rows; `problem` is what `done` gets, `silent` never calls it."""

    rows: list[LoggedPrediction] = field(default_factory=list)
    problem: BaseException | None = None
    silent: bool = False

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        if self.silent:
            return
        if self.problem is None:
            self.rows.extend(predictions)
        done(self.problem)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class InProcess:
    """An application and what it was given; `call` sends it one request."""

    inference: Inference
    application: Application
    counted: Counted
    log: MemoryLog

    def call(self, method: str, path: str, body: object = b"", **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(self.ask(method, path, [content], **headers))

    async def ask(self, method: str, path: str, chunks: Sequence[bytes | None], **headers: str) -> Answer:
        """`None` among the chunks: the rest never comes."""
        given = {"host": "localhost:8080", **headers}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "server": ("localhost", 8080),
            "client": ("127.0.0.1", 1),
        }
        last = len(chunks) - 1
        incoming = iter(
            [
                chunk if chunk is None else {"type": "http.request", "body": chunk, "more_body": number < last}
                for number, chunk in enumerate(chunks)
            ]
        )
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            message = next(incoming, {"type": "http.disconnect"})
            return message if message is not None else await asyncio.Future()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.counted(scope, receive, send)
        start = sent[0]
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )


@pytest.fixture(scope="session")
def delays_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xgboost_package(tmp_path_factory.mktemp("packages") / "delays", 1)


@pytest.fixture(scope="session")
def small_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return onnx_package(tmp_path_factory.mktemp("packages") / "small", 0.5)


def live_deployment(name: str, package: Path) -> LiveDeployment:
    route = Route(name, 1, package, 1.0)
    return LiveDeployment(Deployment("deployment:1", name, (route,)), {"1": Version(route, load(package))}, (1.0,))


@pytest.fixture
def serve(delays_package: Path) -> Iterator[Callable[..., InProcess]]:
    """Makes an application around the delays model; keyword arguments are `Limits`."""
    started: list[Inference] = []

    def make(
        *,
        package: Path = delays_package,
        name: str = "delays",
        features: OnlineFeatures | None = FIXED_FEATURES,
        hosts: tuple[str, ...] = (),
        **limits: float,
    ) -> InProcess:
        log, numbers, ticks = MemoryLog(), itertools.count(1), itertools.count()
        sources = Sources(
            now=lambda: NOW,
            new_request_id=lambda: f"request-{next(numbers)}",
            new_prediction_id=lambda: f"prediction:{next(numbers):026}",
        )
        inference = Inference(live_deployment(name, package), features, log, Limits(**limits), sources)
        started.append(inference)
        application = Application(inference, hosts, "1.2.3")
        counted = Counted(application.asgi, inference.metrics, elapsed=lambda: float(next(ticks)))
        return InProcess(inference, application, counted, log)

    yield make
    for inference in started:
        inference.close()
