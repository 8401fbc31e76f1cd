"""Writes what a service answered into the ledger, from a thread of its own, so that the service never waits for it
and never fails because of it. Standard library only, and what of Stackproof needs no more.
"""

import atexit
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, Unavailable
from stackproof.ledger import Entity, Ledger
from stackproof.roles.serving import LoggedPrediction
from stackproof.stack.attached import main_model
from stackproof.stack.exchanges import Row, rows_of, version_in
from stackproof.store import Store, new_id
from stackproof.store.store import DATABASE_FILE

AT_ONCE = 200
AGAIN_AFTER_S = 1.0
TELL_EVERY_S = 60.0
_log = logging.getLogger("stackproof.attach")

Rows = Callable[[Any, Any], Sequence[tuple[Row, Row]]]
Settled = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as bytes. `id`: that of its first row's prediction; `settled` is told, from the
    recorder's thread, whether it is in the ledger, durably.
    """

    id: str
    request_id: str
    at: datetime
    asked: bytes
    answered: bytes
    settled: Settled | None = None


@dataclass(slots=True)
class _Waiting:
    """`predictions`: None until it was read, which is done once."""

    exchange: Exchange
    predictions: list[LoggedPrediction] | None = None


@dataclass
class Counts:
    """Requests since the process started. `lost`: not recorded, because too many were waiting or what they need was
    not there in time. `not_understood`: not recorded, because they could not be read as rows. `why`: the last reason.
    """

    recorded: int = 0
    lost: int = 0
    not_understood: int = 0
    why: str = ""
    told: tuple[int, int] = (0, 0)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self, count: int, why: str) -> None:
        with self.lock:
            self.lost += count
            self.why = why

    def misunderstand(self, why: str) -> None:
        with self.lock:
            self.not_understood += 1
            self.why = why


class Recorder:
    """Of one process and one deployment. Anything may call `offer`; nothing of ours ever raises into it."""

    def __init__(self, home: Path, deployment: str, *, rows: Rows = rows_of, waiting: int = 10_000) -> None:
        self.counts = Counts()
        self._home = home
        self._deployment = deployment
        self._rows = rows
        self._queue: queue.Queue[_Waiting] = queue.Queue(waiting)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._ledger: Ledger | None = None
        self._store: Store | None = None
        self._warned = float("-inf")
        self._cause = ""
        self._told_at = time.monotonic()

    def offer(self, exchange: Exchange) -> bool:
        """Whether it was accepted. At most `waiting` are kept while the ledger can't take them; more are lost."""
        if self._thread is None:
            self._start()
        try:
            self._queue.put_nowait(_Waiting(exchange))
        except queue.Full:
            self.counts.lose(1, f"too many were waiting. {self._cause}".strip())
            return False
        return True

    def close(self, within_s: float = 10.0) -> None:
        """Write what was accepted, for at most so long. What is left then is lost, and counted."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(within_s)
            if self._thread.is_alive():
                return
            self._thread = None
        self._ending.clear()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"recorder of {self._deployment}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        batch: list[_Waiting] = []
        while batch or not self._ending.is_set() or not self._queue.empty():
            batch = batch or self._take()
            written = self._try(batch)
            if written:
                batch = []
            elif self._ending.wait(AGAIN_AFTER_S):
                self._give_up(batch)
                break
        self._tell(force=True)
        self._release()

    def _take(self) -> list[_Waiting]:
        """What has come; nothing after a while, so that the end is seen."""
        try:
            taken = [self._queue.get(timeout=0.2)]
        except queue.Empty:
            return []
        while len(taken) < AT_ONCE and not self._queue.empty():
            taken.append(self._queue.get_nowait())
        return taken

    def _try(self, batch: list[_Waiting]) -> bool:
        """Whether it is done with, recorded or not understood."""
        if not batch:
            self._tell()
            return True
        try:
            self._write(batch)
        except (RefusedInput, Conflict) as refused:
            return self._try_apart(batch, refused)
        except Exception as problem:  # noqa: BLE001  # whatever it is, the service goes on; it is counted and told
            self._cause = f"{type(problem).__name__}: {problem}"
            self._warn(f"predictions of {self._deployment} wait, because they can't be recorded: {self._cause}")
            if not isinstance(problem, StackproofError):
                self._release()
            return False
        self._tell()
        return True

    def _try_apart(self, batch: list[_Waiting], refused: StackproofError) -> bool:
        """One that the ledger will never take must not hold up the others."""
        if len(batch) == 1:
            self.counts.misunderstand(str(refused))
            self._warn(f"a request to {self._deployment} can't be recorded: {refused}")
            return True
        while batch:
            if not self._try(batch[:1]):
                return False
            del batch[:1]
        return True

    def _write(self, batch: list[_Waiting]) -> None:
        ledger, store = self._opened()
        states = ledger.find("deployment", where={"name": self._deployment}, limit=100)
        if not states:
            raise NotFound(
                f"No service is attached as {self._deployment!r}",
                next_command=f"stackproof attach service {self._deployment}",
            )
        read = [(waiting.exchange, self._read(waiting, states)) for waiting in batch]
        told: list[BaseException | None] = []
        with store.database.transaction():
            ledger.predictions.append([one for _, some in read for one in some], told.append)
        for problem in told:
            if problem is not None:
                raise problem
        for exchange, some in read:
            self.counts.recorded += bool(some)
            if exchange.settled is not None:
                exchange.settled(bool(some))

    def _read(self, waiting: _Waiting, states: list[Entity]) -> list[LoggedPrediction]:
        if waiting.predictions is None:
            waiting.predictions = self._predictions(waiting.exchange, states)
        return waiting.predictions

    def _predictions(self, exchange: Exchange, states: list[Entity]) -> list[LoggedPrediction]:
        """None when it can't be read, which is counted."""
        try:
            asked, answered = json.loads(exchange.asked), json.loads(exchange.answered)
            rows = self._rows(asked, answered)
            deployment = next((state for state in states if state.at <= exchange.at), states[-1])
            return predictions(exchange, rows, deployment, version_in(answered))
        except Exception as problem:  # noqa: BLE001  # `rows` may be the user's own code
            self.counts.misunderstand(f"{type(problem).__name__}: {problem}")
            self._warn(f"a request to {self._deployment} can't be recorded: {type(problem).__name__}: {problem}")
            return []

    def _opened(self) -> tuple[Ledger, Store]:
        if self._ledger is None or self._store is None:
            if not (self._home / DATABASE_FILE).exists():
                raise Unavailable(
                    "There is no ledger there", got=str(self._home), next_command="stackproof attach service NAME"
                )
            self._store = Store.open(self._home)
            self._ledger = Ledger(self._store)
            # After the database's own, so that it runs before: what waits is written while that still takes it.
            atexit.unregister(self.close)
            atexit.register(self.close)
        return self._ledger, self._store

    def _release(self) -> None:
        store, self._store, self._ledger = self._store, None, None
        if store is None:
            return
        try:
            store.close()
        except StackproofError as problem:
            self._warn(f"the ledger could not be closed: {problem}")

    def _give_up(self, batch: list[_Waiting]) -> None:
        left = len(batch)
        while not self._queue.empty():
            self._queue.get_nowait()
            left += 1
        self.counts.lose(left, self._cause)
        _log.error("%d requests to %s were not recorded: %s", left, self._deployment, self._cause)

    def _tell(self, *, force: bool = False) -> None:
        """Leave in the ledger how many requests it lacks: whoever reads it shall know."""
        counts = self.counts
        lacking = (counts.lost, counts.not_understood)
        due = lacking != counts.told and (force or time.monotonic() - self._told_at >= TELL_EVERY_S)
        if not due or self._ledger is None:
            return
        at = datetime.now(UTC)
        gap = Entity(new_id("gap", now=at), "gap", at, {
            "deployment": self._deployment, "lost": lacking[0] - counts.told[0],
            "not_understood": lacking[1] - counts.told[1], "why": counts.why[:500], "process": os.getpid(),
        })  # fmt: skip
        try:
            self._ledger.record(gap)
        except StackproofError as problem:
            self._warn(f"a gap could not be recorded: {problem}")
            return
        counts.told, self._told_at = lacking, time.monotonic()

    def _warn(self, text: str) -> None:
        """Once a minute: a service's log is not ours to fill."""
        if time.monotonic() - self._warned >= TELL_EVERY_S:
            self._warned = time.monotonic()
            _log.warning("%s", text)


def predictions(
    exchange: Exchange, rows: Sequence[tuple[Row, Row]], deployment: Entity, version: int | None
) -> list[LoggedPrediction]:
    """One for each row: the first has the exchange's identifier, the others that with ".1", ".2", …"""
    model = main_model(deployment)
    if version is not None:
        model = f"{model.rpartition('@')[0] or 'model:' + str(deployment.attributes['name'])}@{version}"
    return [
        LoggedPrediction(
            id=exchange.id if place == 0 else f"{exchange.id}.{place}",
            request_id=exchange.request_id,
            deployment=deployment.id,
            model=model,
            at=exchange.at,
            event_time=None,
            entity={},
            features=inputs,
            sources={},
            output=outputs,
        )
        for place, (inputs, outputs) in enumerate(rows)
    ]
