"""A registry as it stood at one moment, and the answers to lookups that follow from it."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stackproof.adapters.features.feast_history import History
from stackproof.adapters.features.feast_library import told, tool_module
from stackproof.adapters.features.feast_rows import mark_of, read_source
from stackproof.adapters.features.feast_served import Served, microseconds, served_by
from stackproof.errors import NotFound, RefusedInput
from stackproof.roles.features import FeatureRow, LookupRequest, Value


class Asked(NamedTuple):
    """One request whose entity may be known: its position, its key values in the view's order, and the instant."""

    position: int
    key: tuple[Value, ...]
    instant: int


class Snapshot:
    """Many threads may ask at once. `signature` tells this state of the registry from every other."""

    def __init__(self, store: Any, sources: Path, signature: object) -> None:
        """`store`: a `feast.FeatureStore`, None where there is no registry yet. `sources`: the folder of its files."""
        self.signature = signature
        self.served: dict[str, Served] = {} if store is None else served_by(store)
        self._store = store
        self._sources = sources
        self._lock = threading.Lock()
        self._histories: dict[str, History] = {}
        self._closing = ExitStack()

    def close(self) -> None:
        with self._lock:
            self._closing.close()
            self._histories.clear()

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        """One row per request, in order. Raises `NotFound` when the online store no longer has the rows."""
        served = self.served[view]
        rows: list[FeatureRow] = []
        latest: list[Asked] = []
        past: list[Asked] = []
        for position, request in enumerate(requests):
            key, is_null = _key(served, request)
            rows.append(served.nothing() if is_null else served.empty())
            if key is not None:
                instant = served.watermark or 0 if request.as_of is None else microseconds(request.as_of)
                asked = Asked(position, key, instant)
                (latest if served.is_latest(request.as_of) else past).append(asked)
        with told(f"look up in the view {view!r}"):
            answers = (self._online(served, latest) if latest else []) + (self._past(served, past) if past else [])
        for asked, row in zip([*latest, *past], answers, strict=True):
            rows[asked.position] = row
        return rows

    def verify(self, view: str) -> None:
        """Raises `NotFound` when the online store does not have the rows of this view."""
        with told(f"look up in the view {view!r}"):
            self._online(self.served[view], [])

    def _online(self, served: Served, asked: Sequence[Asked]) -> list[FeatureRow]:
        keys = {
            column: [*(question.key[n] for question in asked), mark_of(served.kinds[column])]
            for n, column in enumerate(served.view.entity)
        }
        names = [feature.name for feature in served.view.features]
        refs = [f"{served.view.name}:{name}" for name in (*names, served.seen)]
        found: Mapping[str, list[Any]] = self._store.get_online_features(refs, keys).to_dict()
        *seen, token = found[served.seen]
        if token != served.token:
            raise _lost(served)
        values = zip(*(found[name] for name in names), strict=True)
        return [
            served.row(dict(zip(names, of_one, strict=True)), at, question.instant)
            for question, of_one, at in zip(asked, values, seen, strict=False)
        ]

    def _past(self, served: Served, asked: Sequence[Asked]) -> list[FeatureRow]:
        pyarrow = tool_module("pyarrow")
        kinds = [pyarrow.large_string() if isinstance(value, str) else pyarrow.int64() for value in asked[0].key]
        keys = [pyarrow.array([q.key[n] for q in asked], kind) for n, kind in enumerate(kinds)]
        instants = np.array([question.instant for question in asked], dtype=np.int64)
        found = self._history(served).find(keys, instants, np.ones(len(asked), dtype=bool))
        return [
            served.row(values, at, question.instant)
            for question, values, at in zip(asked, found.values.to_pylist(), found.seen.to_pylist(), strict=True)
        ]

    def _history(self, served: Served) -> History:
        name = served.view.name
        with self._lock:
            if name not in self._histories:
                changes = read_source(served, self._sources / served.file)
                self._histories[name] = History(served.view, changes)
                self._closing.callback(self._histories[name].close)
            return self._histories[name]


def _key(served: Served, request: LookupRequest) -> tuple[tuple[Value, ...] | None, bool]:
    """The key to ask for, None when it can't be known; and whether a part of it is null."""
    given = []
    for column in served.view.entity:
        if column not in request.entity:
            raise RefusedInput(
                f"The lookup in {served.view.name!r} lacks the key column {column!r}",
                got=", ".join(map(str, request.entity)) or "no key column",
                allowed=", ".join(served.view.entity),
            )
        given.append(request.entity[column])
    if None in given:
        return None, True
    kept = [_kept(served, column, value) for column, value in zip(served.view.entity, given, strict=True)]
    return None if None in kept else tuple(kept), False


def _kept(served: Served, column: str, value: object) -> Value:
    """The value as Feast keeps it; None for one that no entity has. Raises `RefusedInput` for another type."""
    kind = served.kinds[column]
    if kind == "null":
        return None
    truth = isinstance(value, bool | np.bool_)
    fits = {"string": isinstance(value, str), "integer": isinstance(value, Integral) and not truth, "boolean": truth}
    if not fits[kind]:
        raise RefusedInput(
            f"The key column {column!r} of the feature view {served.view.name!r} holds another type",
            got=repr(value),
            allowed=kind,
        )
    if isinstance(value, str):
        return value
    number = int(value)  # type: ignore[call-overload]  # it is a whole number or a truth value
    return number if -(2**63) < number < 2**63 else None


def _lost(served: Served) -> NotFound:
    return NotFound(
        f"The online store no longer has the rows of the feature view {served.view.name!r}",
        got=f"version {served.version}, materialized as {served.file}",
        next_command=f"stackproof features {served.view.name}",
    )
