"""Served predictions and the outcomes that became known later."""

import json
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError
from stackproof.ledger import chain
from stackproof.ledger.records import JSON, Entity, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Database
from stackproof.store.instants import from_us, to_us

_Row: TypeAlias = tuple[str, str, str, int, str]
_ROWS_PER_STATEMENT = 100
_NEXT = "SELECT 1 + coalesce(max(number), 0) FROM ledger_predictions"
_NEXT_OUTCOME = "SELECT 1 + coalesce(max(number), 0) FROM ledger_outcomes"
_COLUMNS = "id, deployment, at, body"


class PredictionStore:
    """Implements `roles.serving.PredictionLog`. Positions count from 1, without holes, as committed."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def append(
        self,
        predictions: Sequence[LoggedPrediction],
        done: Callable[[BaseException | None], None],
    ) -> None:
        """Accept at once; `done(None)` when all are durable, `done(error)` when none is. From any thread.

        They become one batch of the chain. Values may be NaN or infinite and come back exactly.
        """
        try:
            rows = [_encode(prediction) for prediction in predictions]
            content = chain.content_digest([chain.line(*row) for row in rows])
        except StackproofError as refused:
            done(refused)
            return
        if not rows:
            done(None)
            return
        at = self._clock()
        self._database.enqueue(lambda connection: _write(connection, rows, content, at), done)

    def get(self, id: str) -> LoggedPrediction:
        """Raises `NotFound`."""
        with self._database.read() as connection:
            found = _find(connection, id)
        if found is None:
            raise NotFound(f"No prediction {id!r} was logged", next_command="stackproof trace")
        return found

    def known(self, ids: Sequence[str]) -> dict[str, LoggedPrediction]:
        """Those of the identifiers that were logged."""
        query = f"SELECT {_COLUMNS} FROM ledger_predictions WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608  # a constant
        with self._database.read() as connection:
            return {row[0]: _decode(*row) for row in connection.execute(query, (json.dumps(list(ids)),))}

    def after(
        self,
        position: int,
        *,
        deployment: str | None = None,
        deployment_name: str | None = None,
        limit: int = 10_000,
    ) -> list[tuple[int, LoggedPrediction]]:
        """The predictions with a greater position, in order: of a deployment's state ("deployment:name@n"),
        of a deployment's name, or all. `after(0)` starts at the beginning."""
        condition, arguments = _filter(deployment, deployment_name)
        query = f"""SELECT number, {_COLUMNS} FROM ledger_predictions
            WHERE number > ? {condition} ORDER BY number LIMIT ?"""  # noqa: S608  # built from constants
        with self._database.read() as connection:
            rows = connection.execute(query, (position, *arguments, limit)).fetchall()
        return [(number, _decode(*row)) for number, *row in rows]

    def count(self, deployment: str | None = None, *, deployment_name: str | None = None) -> int:
        """How many were logged."""
        return self._number("count(*)", deployment, deployment_name)

    def latest_position(self, deployment: str | None = None, *, deployment_name: str | None = None) -> int:
        """The position of the newest; 0 when there is none."""
        return self._number("coalesce(max(number), 0)", deployment, deployment_name)

    def record_outcomes(self, outcomes: Mapping[str, float], at: datetime) -> None:
        """Record what turned out to be true, by prediction. Durable when the outermost transaction ends.

        The same value again is no change. Raises `NotFound` for an unknown prediction, `Conflict`
        for another value; then nothing was added.
        """
        with self._database.transaction() as connection:
            _refuse_unknown(connection, list(outcomes))
            known = _outcomes(connection, list(outcomes))
            _refuse_changes(known, outcomes)
            new = [(id, _nullable(value), to_us(at)) for id, value in outcomes.items() if id not in known]
            if new:
                (first,) = connection.execute(_NEXT_OUTCOME).fetchone()
                numbered = [(first + offset, *row) for offset, row in enumerate(new)]
                connection.executemany("INSERT INTO ledger_outcomes VALUES (?, ?, ?, ?)", numbered)
                content = chain.content_digest([chain.line(*row) for row in new])
                chain.append_batch(connection, "outcomes", self._clock(), first, len(new), content)

    def outcomes(self, ids: Sequence[str]) -> dict[str, float]:
        """The outcomes known of these predictions; those without one are left out."""
        with self._database.read() as connection:
            return _outcomes(connection, ids)

    def entity(self, connection: sqlite3.Connection, id: str) -> Entity | None:
        """A prediction as an entity of the ledger."""
        found = _find(connection, id)
        return None if found is None else Entity(found.id, "prediction", found.at, _attributes(found))

    def links(self, connection: sqlite3.Connection, id: str) -> list[Link]:
        """What a prediction rests on: its deployment, its model version, the data of its lookups."""
        found = _find(connection, id)
        if found is None:
            return []
        versions = dict.fromkeys(version for version, _ in found.sources.values() if version)
        return [
            Link(id, Relation.PREDICTED_BY, found.deployment),
            Link(id, Relation.PREDICTED_BY, found.model),
            *(Link(id, Relation.USED, version) for version in versions),
        ]

    def _number(self, what: str, deployment: str | None, deployment_name: str | None) -> int:
        condition, arguments = _filter(deployment, deployment_name)
        query = f"SELECT {what} FROM ledger_predictions WHERE number > 0 {condition}"  # noqa: S608  # built from constants
        with self._database.read() as connection:
            number: int = connection.execute(query, arguments).fetchone()[0]
        return number


def name_of(deployment: str) -> str:
    """The name in "deployment:name@n"; anything else is its own name."""
    name, at, _number = deployment.removeprefix("deployment:").rpartition("@")
    return name if at else deployment.removeprefix("deployment:")


def _filter(deployment: str | None, deployment_name: str | None) -> tuple[str, tuple[str, ...]]:
    if deployment is not None:
        return "AND deployment_name = ? AND deployment = ?", (name_of(deployment), deployment)
    if deployment_name is not None:
        return "AND deployment_name = ?", (deployment_name,)
    return "", ()


def _encode(prediction: LoggedPrediction) -> _Row:
    event_time = prediction.event_time
    sources = {
        view: [version, None if known_at is None else to_us(known_at)]
        for view, (version, known_at) in prediction.sources.items()
    }
    body = [
        prediction.request_id,
        prediction.model,
        None if event_time is None else to_us(event_time),
        dict(prediction.entity),
        dict(prediction.features),
        sources,
        dict(prediction.output),
    ]
    try:
        text = _ENCODE(body)
    except (TypeError, ValueError) as error:
        raise RefusedInput(
            f"The prediction {prediction.id} holds a value that cannot be logged",
            got=error,
            allowed="text, numbers, booleans and None",
        ) from error
    deployment = prediction.deployment
    return prediction.id, deployment, name_of(deployment), to_us(prediction.at), text


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


def _decode(id: str, deployment: str, at: int, body: str) -> LoggedPrediction:
    request_id, model, event_time, entity, features, sources, output = json.loads(body)
    return LoggedPrediction(
        id=id,
        request_id=request_id,
        deployment=deployment,
        model=model,
        at=from_us(at),
        event_time=None if event_time is None else from_us(event_time),
        entity=entity,
        features=features,
        sources={
            view: (version, None if known_at is None else from_us(known_at))
            for view, (version, known_at) in sources.items()
        },
        output=output,
    )


def _write(connection: sqlite3.Connection, rows: Sequence[_Row], content: str, at: datetime) -> None:
    (first,) = connection.execute(_NEXT).fetchone()
    try:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            some = rows[start : start + _ROWS_PER_STATEMENT]
            numbered = [(first + start + offset, *row) for offset, row in enumerate(some)]
            connection.execute(_insert(len(some)), [field for row in numbered for field in row])
    except sqlite3.IntegrityError as error:
        raise Conflict("A prediction with this identifier was logged before", got=error) from error
    chain.append_batch(connection, "predictions", at, first, len(rows), content)


@lru_cache(maxsize=_ROWS_PER_STATEMENT)
def _insert(rows: int) -> str:
    """One statement for many rows: each statement costs a hand-over of the interpreter's lock."""
    return "INSERT INTO ledger_predictions VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)  # noqa: S608  # marks only


def _find(connection: sqlite3.Connection, id: str) -> LoggedPrediction | None:
    query = f"SELECT {_COLUMNS} FROM ledger_predictions WHERE id = ?"  # noqa: S608  # a constant
    row = connection.execute(query, (id,)).fetchone()
    return None if row is None else _decode(*row)


def _attributes(prediction: LoggedPrediction) -> dict[str, JSON]:
    sources: Any = {
        view: [version, None if known_at is None else known_at.isoformat()]
        for view, (version, known_at) in prediction.sources.items()
    }
    return {
        "request": prediction.request_id,
        "deployment": prediction.deployment,
        "model": prediction.model,
        "event_time": None if prediction.event_time is None else prediction.event_time.isoformat(),
        "entity": dict(prediction.entity),
        "features": dict(prediction.features),
        "sources": sources,
        "output": dict(prediction.output),
    }


def _outcomes(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, float]:
    query = """SELECT prediction, value FROM ledger_outcomes
        WHERE prediction IN (SELECT value FROM json_each(?))"""
    rows = connection.execute(query, (json.dumps(list(ids)),))
    return {id: math.nan if value is None else value for id, value in rows}


def _nullable(value: float) -> float | None:
    """SQLite has no NaN: NULL stands for it."""
    return None if math.isnan(value) else float(value)


def _refuse_unknown(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    query = """SELECT value FROM json_each(?)
        WHERE value NOT IN (SELECT id FROM ledger_predictions WHERE id = value) LIMIT 5"""
    unknown = [id for (id,) in connection.execute(query, (json.dumps(list(ids)),))]
    if unknown:
        raise NotFound("An outcome names predictions that were never logged", got=", ".join(unknown))


def _refuse_changes(known: Mapping[str, float], outcomes: Mapping[str, float]) -> None:
    for id, value in known.items():
        if _nullable(value) != _nullable(outcomes[id]):
            raise Conflict(f"Another outcome of {id} was recorded before", got=outcomes[id], allowed=str(value))
