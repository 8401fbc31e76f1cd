"""What was known of an entity at an instant, found by Feast's offline store.

For each row asked for, Feast reads every earlier row of the same entity: a hundred thousand flights from three
airports would be billions of rows. So the history of an entity is cut into stretches of a few rows, and the stretch
becomes one more key: Feast finds the latest row of the stretch in which the instant lies.

Feast promises no order. Every question has a number, and an answer that lacks one is refused.
"""

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackproof.adapters.features.feast_changes import Changes, Numbers, micros
from stackproof.adapters.features.feast_columns import picked, timestamps, whole
from stackproof.adapters.features.feast_library import Place, told, tool_module
from stackproof.errors import Corrupted
from stackproof.roles.features import Aggregate, FeatureView

STRETCH_ROWS = 16
VIEW, STRETCH, AT, SEEN, NUMBER, ASKED_AT = "view", "stretch", "at", "seen", "number", "event_timestamp"
ZERO_WHEN_EMPTY = (Aggregate.COUNT, Aggregate.SUM)

_offline = threading.Lock()
"""Feast's DuckDB store has one connection for the whole process."""


@dataclass(frozen=True, slots=True)
class Found:
    """`values`: the features by name, a row for each asked. `seen`: the instant of the row used; null for none."""

    values: Any
    seen: Any


class History:
    """A view's changes as a source of a Feast repository of its own, in a folder that ends with `close`."""

    def __init__(self, view: FeatureView, changes: Changes) -> None:
        self._view = view
        self._changes = changes
        self._closing = ExitStack()
        folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="stackproof-feast-")))
        self._begins, stretch = _stretches(changes)
        with _offline, told("keep the history of a view"):
            self._store = Place(folder, "history", {}).store("registry.db")
            self._write(folder / "history.parquet", stretch)
            self._store.apply(_definitions(view, changes, folder / "history.parquet"))

    def close(self) -> None:
        self._closing.close()

    def find(self, keys: list[Any], at: Numbers, known: NDArray[np.bool_]) -> Found:
        """The features of these entities at these instants; where `known` is false there is no instant.

        `keys`: columns as `as_keys` gives them. A null key gives null always.
        """
        with_key = known.copy()
        for column in keys:
            with_key &= column.is_valid().to_numpy(zero_copy_only=False)
        stretch = np.where(with_key, self._stretch_of(self._changes.entities.find(keys), at), -1)
        there = np.flatnonzero(stretch >= 0)
        firsts, question = _distinct(stretch[there], at[there])
        asked = there[firsts]
        answers = self._ask([picked(column, asked) for column in keys], at[asked], stretch[asked])
        place = np.full(len(at), -1, dtype=np.int64)
        place[there] = question
        place = self._without_those_too_old(place, at, answers.column(SEEN))
        return self._found(answers, place, with_key)

    def _write(self, path: Path, stretch: Numbers) -> None:
        pyarrow, changes = tool_module("pyarrow"), self._changes
        columns = {f"key_{n}": column for n, column in enumerate(changes.keys)}
        columns |= {STRETCH: pyarrow.array(stretch), AT: timestamps(changes.at), SEEN: changes.seen}
        columns |= {f"value_{n}": _plain(column) for n, column in enumerate(changes.values.columns)}
        tool_module("pyarrow.parquet").write_table(pyarrow.table(columns), path)

    def _stretch_of(self, entities: Numbers, at: Numbers) -> Numbers:
        """The last stretch of each entity that begins no later than the instant; -1 for none."""
        numbers, begins = self._begins
        if not len(begins):
            return np.full(len(at), -1, dtype=np.int64)
        instants = np.unique(begins)
        width = len(instants) + 1
        codes = numbers * width + np.searchsorted(instants, begins) + 1
        asked = entities * width + np.searchsorted(instants, at, side="right")
        found = np.searchsorted(codes, asked, side="right") - 1
        return np.where((entities >= 0) & (found >= 0) & (numbers[found] == entities), found, -1)

    def _ask(self, keys: list[Any], at: Numbers, stretch: Numbers) -> Any:
        """Feast's answers, one for each question and in their order: `value_n` and `seen`."""
        names = [f"value_{n}" for n in range(len(self._view.features))] + [SEEN]
        columns = {f"key_{n}": column.to_pandas() for n, column in enumerate(keys)}
        columns |= {STRETCH: stretch, NUMBER: np.arange(len(at)), ASKED_AT: timestamps(at).to_pandas()}
        asked = tool_module("pandas").DataFrame(columns)
        if not len(at):
            return _no_answers(self._changes, names)
        with _offline, told("join the history of a view"):
            job = self._store.get_historical_features(asked, [f"{VIEW}:{name}" for name in names])
            answers = job.to_arrow().sort_by(NUMBER)
        if answers.column(NUMBER).to_pylist() != list(range(len(at))):
            raise Corrupted(
                f"Feast's join of the view {self._view.name!r} is not whole",
                got=f"{answers.num_rows} rows", allowed=f"exactly the {len(at)} that were asked for",
            )  # fmt: skip
        return answers.select(names)

    def _without_those_too_old(self, place: Numbers, at: Numbers, seen: Any) -> Numbers:
        """Feast's own limit, `ttl`, is not always the view's: see `_ttl`."""
        if self._view.max_age is None:
            return place
        age = at - whole(seen.fill_null(0)).to_numpy()[place] if len(seen) else at
        return np.where(age <= micros(self._view.max_age), place, -1)

    def _found(self, answers: Any, place: Numbers, with_key: NDArray[np.bool_]) -> Found:
        pyarrow, compute = tool_module("pyarrow"), tool_module("pyarrow.compute")
        columns = {}
        for n, feature in enumerate(self._view.features):
            before = self._changes.values.schema.field(n).type
            column = picked(_as_before(answers.column(f"value_{n}"), before), place)
            if feature.aggregate in ZERO_WHEN_EMPTY:
                zero = pyarrow.scalar(0).cast(column.type)
                column = compute.if_else(
                    pyarrow.array(with_key), column.fill_null(zero), pyarrow.scalar(None, column.type)
                )
            columns[feature.name] = column
        return Found(pyarrow.table(columns), picked(answers.column(SEEN), place))


def _stretches(changes: Changes) -> tuple[tuple[Numbers, Numbers], Numbers]:
    """Of each stretch its entity and its first instant; and of each row the number of its stretch."""
    numbers = changes.numbers
    rows = np.arange(len(numbers))
    begins = (rows - np.searchsorted(numbers, numbers)) % STRETCH_ROWS == 0
    return (numbers[begins], changes.at[begins]), np.cumsum(begins) - 1


def _distinct(stretch: Numbers, at: Numbers) -> tuple[Numbers, Numbers]:
    """Where each different question is asked first; and for each row the number of its question."""
    order = np.lexsort((at, stretch))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (stretch[order][1:] != stretch[order][:-1]) | (at[order][1:] != at[order][:-1])
    question = np.empty(len(order), dtype=np.int64)
    question[order] = np.cumsum(new) - 1
    return order[new], question


def _definitions(view: FeatureView, changes: Changes, path: Path) -> list[Any]:
    feast, types = tool_module("feast"), tool_module("feast.types")
    kinds = {name: kind_of(column) for name, column in zip(_key_names(changes), changes.keys, strict=True)}
    kinds |= {STRETCH: "Int64"}
    entities = [feast.Entity(name=n, value_type=feast.ValueType[kind.upper()]) for n, kind in kinds.items()]
    kinds |= {f"value_{n}": "String" for n in range(len(view.features))} | {SEEN: "Int64"}
    made = feast.FeatureView(
        name=VIEW,
        entities=entities,
        schema=[feast.Field(name=name, dtype=getattr(types, kind)) for name, kind in kinds.items()],
        source=feast.FileSource(name=VIEW, path=str(path), timestamp_field=AT),
        ttl=_ttl(view.max_age),
        online=False,
    )
    return [*entities, made]


def _ttl(max_age: timedelta | None) -> timedelta | None:
    """In one unit, rounded up: Feast's DuckDB store knows no other. Feast takes a length of 0 for no limit at all."""
    if max_age is None or (max_age.days and not max_age.seconds and not max_age.microseconds):
        return max_age
    if max_age.days:
        return timedelta(days=max_age.days + 1)
    if max_age.seconds and max_age.microseconds:
        return timedelta(seconds=max_age.seconds + 1)
    return max_age


def kind_of(key: Any) -> str:
    """Feast's type of a key column."""
    return "Int64" if tool_module("pyarrow").types.is_integer(key.type) else "String"


def _key_names(changes: Changes) -> list[str]:
    return [f"key_{n}" for n in range(len(changes.keys))]


def _plain(column: Any) -> Any:
    """What Parquet and DuckDB keep; `_as_before` undoes it."""
    pyarrow = tool_module("pyarrow")
    if pyarrow.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return pyarrow.nulls(len(column), pyarrow.float64()) if pyarrow.types.is_null(column.type) else column


def _as_before(column: Any, before: Any) -> Any:
    pyarrow = tool_module("pyarrow")
    if pyarrow.types.is_dictionary(before):
        return column.cast(before.value_type).dictionary_encode()
    return pyarrow.nulls(len(column), before) if pyarrow.types.is_null(before) else column.cast(before)


def _no_answers(changes: Changes, names: list[str]) -> Any:
    pyarrow = tool_module("pyarrow")
    kinds = [_plain(column).type for column in changes.values.columns] + [pyarrow.int64()]
    return pyarrow.schema(list(zip(names, kinds, strict=True))).empty_table()
