"""The life of an infer request: admitted, read, looked up, predicted, logged, answered."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from stackproof.adapters.serving.answers import Answerer, Question
from stackproof.adapters.serving.bodies import read_body
from stackproof.adapters.serving.deployment import LiveDeployment, Version
from stackproof.adapters.serving.metrics import Metrics
from stackproof.adapters.serving.models import Outputs
from stackproof.adapters.serving.protocol import InferRequest, parse
from stackproof.adapters.serving.refusals import Refusal, malformed, too_many, unavailable
from stackproof.adapters.serving.responses import error_response, json_response
from stackproof.errors import RefusedInput, StackproofError, StorageFailed
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import LoggedPrediction, PredictionLog
from stackproof.store import new_id

logger = logging.getLogger(__name__)

INLINE_ROWS = 256
"""Requests with more rows than this are worked on beside the event loop, so that others don't wait."""
LOOKUP_THREADS = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, and how many may be under way. Times in seconds."""

    max_rows: int = 4096
    max_body_bytes: int = 4 * 1024 * 1024
    max_in_flight: int = 64
    body_seconds: float = 10.0
    log_seconds: float = 10.0

    @classmethod
    def of(cls, given: Mapping[str, float]) -> "Limits":
        """`given`: as `options.limits_of` gives them; others are left out."""
        whole = {name: int(given[name]) for name in ("max_rows", "max_body_bytes", "max_in_flight")}
        return cls(**whole, body_seconds=given["body_seconds"], log_seconds=given["log_seconds"])


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a request's instant and its identifiers come from."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_request_id: Callable[[], str] = lambda: str(uuid.uuid4())
    new_prediction_id: Callable[[], str] = lambda: new_id("prediction")


class Inference:
    """Answers infer requests for the deployment that is live. Used from one event loop."""

    def __init__(
        self,
        live: LiveDeployment,
        features: OnlineFeatures | None,
        log: PredictionLog,
        limits: Limits,
        sources: Sources = Sources(),
    ) -> None:
        self._features = features
        self._log = log
        self._limits = limits
        self._sources = sources
        self._beside = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="serving")
        self.metrics = Metrics()
        self.ready = True
        self.switch_to(live)

    def switch_to(self, live: LiveDeployment) -> None:
        """Requests that come from now on are answered by this deployment; those under way stay with theirs."""
        self._serving = _Serving(live, self._limits.max_rows)

    @property
    def live(self) -> LiveDeployment:
        return self._serving.live

    def close(self) -> None:
        self._beside.shutdown(wait=False, cancel_futures=True)

    def versions(self, name: str, number: str | None) -> Mapping[str, Version]:
        """All versions, or the one asked for. Raises `Refusal` 404 for a name or a number that is not live."""
        self._serving.check(name, number)
        versions = self._serving.live.versions
        return versions if number is None else {number: versions[number]}

    async def answer(self, request: Request, name: str, number: str | None) -> Response:
        """200 only after the log said that the predictions are durable."""
        try:
            return await self._admit(request, name, number)
        except Refusal as refusal:
            self.metrics.refused(refusal.reason)
            return error_response(refusal.status, refusal.message, refusal.headers)

    async def _admit(self, request: Request, name: str, number: str | None) -> Response:
        serving = self._serving
        serving.check(name, number)
        if self.metrics.in_flight >= self._limits.max_in_flight:
            raise too_many(self._limits.max_in_flight)
        self.metrics.in_flight += 1
        try:
            body = await read_body(request, self._limits.max_body_bytes, self._limits.body_seconds)
            return await self._predict(serving, number, body)
        finally:
            self.metrics.in_flight -= 1

    async def _predict(self, serving: "_Serving", number: str | None, body: bytes) -> Response:
        try:
            parsed = parse(body, self._sources.new_request_id)
            answerer = serving.answerer(number, parsed.id)
            question, outputs = await self._ask(answerer, answerer.read(parsed))
        except RefusedInput as refused:
            raise malformed(refused) from refused
        except StackproofError as absent:
            raise unavailable("features", str(absent)) from absent
        rows = answerer.log_rows(question, outputs, self._sources.now(), self._sources.new_prediction_id)
        await self._record(rows)
        self.metrics.predicted(str(answerer.version.route.version), len(rows))
        return json_response(answerer.body(question, outputs, [row.id for row in rows]))

    async def _ask(self, answerer: Answerer, request: InferRequest) -> tuple[Question, Outputs]:
        if not answerer.needs_lookup(request) and request.rows <= INLINE_ROWS:
            return _ask_now(answerer, request, None)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._beside, _ask_now, answerer, request, self._features)

    async def _record(self, rows: Sequence[LoggedPrediction]) -> None:
        """Wait until the rows are durable. Raises `Refusal` 503 when they are not, or not in time."""
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[BaseException | None] = loop.create_future()

        def done(error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for this row any more
                loop.call_soon_threadsafe(_settle, durable, error)

        problem: BaseException | None
        try:
            self._log.append(rows, done)
            async with asyncio.timeout(self._limits.log_seconds):
                problem = await durable
        except (StackproofError, OSError) as failed:  # TimeoutError is an OSError
            problem = failed
        if problem is not None:
            self.ready = self.ready and not isinstance(problem, StorageFailed)
            logger.error("predictions were not logged, and not given: %r", problem)
            raise unavailable("log", "The prediction could not be logged, so it is not given. Next: try again")


class _Serving:
    """A live deployment and what answers for each of its versions."""

    def __init__(self, live: LiveDeployment, max_rows: int) -> None:
        deployment = live.deployment
        self.live = live
        self._answerers = {
            number: Answerer(version, deployment.id, deployment.name, max_rows)
            for number, version in live.versions.items()
        }

    def check(self, name: str, number: str | None) -> None:
        if name != self.live.deployment.name:
            raise Refusal(
                404, "unknown_model", f"There is no model {name[:80]!r}. Allowed: {self.live.deployment.name}."
            )
        if number is not None and number not in self._answerers:
            known = ", ".join(self._answerers)
            raise Refusal(404, "unknown_version", f"There is no version {number[:80]!r}. Allowed: {known}.")

    def answerer(self, number: str | None, request_id: str) -> Answerer:
        chosen = self.live.choose(request_id) if number is None else number
        return self._answerers[chosen]


def _ask_now(answerer: Answerer, request: InferRequest, features: OnlineFeatures | None) -> tuple[Question, Outputs]:
    question = answerer.prepare(request, features)
    return question, answerer.model.predict(question.matrix)


def _settle(durable: "asyncio.Future[BaseException | None]", error: BaseException | None) -> None:
    if not durable.done():
        durable.set_result(error)
