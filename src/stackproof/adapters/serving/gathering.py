"""The log and the features of a server whose objects live in another process: one call for all that came meanwhile."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from stackproof.errors import StackproofError
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization, OnlineFeatures
from stackproof.roles.serving import LoggedPrediction, PredictionLog
from stackproof.roles.table import Table

Done: TypeAlias = Callable[[BaseException | None], None]


class GatheredLog:
    """A `PredictionLog` that passes on, in one call, the rows of all requests that came during the call before.

    They are durable together, or all of their requests hear of the error. `append` never waits.
    """

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._waiting: deque[tuple[Sequence[LoggedPrediction], Done]] = deque()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="log")

    def append(self, predictions: Sequence[LoggedPrediction], done: Done) -> None:
        self._waiting.append((predictions, done))
        self._beside.submit(self._send)

    def close(self) -> None:
        """What was appended before is passed on."""
        self._beside.shutdown()

    def _send(self) -> None:
        lot = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lot:
            return

        def done(error: BaseException | None) -> None:
            for _, tell in lot:
                tell(error)

        try:
            self._log.append([row for rows, _ in lot for row in rows], done)
        except (StackproofError, OSError) as failed:
            done(failed)


@dataclass(slots=True)
class _Asked:
    """One request's lookup in a view. `found` None: not answered yet."""

    requests: Sequence[LookupRequest]
    found: list[FeatureRow] | None = None


@dataclass(slots=True)
class _View:
    """Who waits for a view; the one that holds `turn` asks for all of them."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[_Asked] = field(default_factory=deque)


class GatheredFeatures:
    """`OnlineFeatures` that looks up, in one call, what all threads asked of a view during the call before."""

    def __init__(self, features: OnlineFeatures) -> None:
        self._features = features
        self._views: dict[str, _View] = {}

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        return self._features.materialize(view, source, version=version)

    def materialized(self) -> list[Materialization]:
        return self._features.materialized()

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        """As `OnlineFeatures.lookup`. An error is that of these requests, never of others asked with them."""
        place = self._views.setdefault(view, _View())
        asked = _Asked(requests)
        place.waiting.append(asked)
        with place.turn:
            return self._ask(view, asked, place.waiting) if asked.found is None else asked.found

    def _ask(self, view: str, mine: _Asked, waiting: deque[_Asked]) -> list[FeatureRow]:
        others = [waiting.popleft() for _ in range(len(waiting))]
        lot = [mine, *(asked for asked in others if asked is not mine)]
        try:
            rows = iter(self._features.lookup(view, [request for asked in lot for request in asked.requests]))
        except StackproofError:
            if len(lot) == 1:
                raise
            return self._features.lookup(view, mine.requests)  # the others' turns come, each alone
        for asked in lot:
            asked.found = [next(rows) for _ in asked.requests]
        return mine.found or []
