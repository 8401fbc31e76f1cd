"""When the features of a view change, and to what: the plain rows that Feast can look up by their instant.

Feast has no aggregates over a window that end at any instant. But such an aggregate changes only where a row enters
its window, at `known_at`, and where one leaves it, a window's length later. A row for each of these instants makes it
a plain feature, of which Feast finds the latest. Instants are whole microseconds since 1970 in UTC.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackproof.adapters.features.feast_columns import as_instants, as_keys, picked, whole
from stackproof.adapters.features.feast_library import tool_module
from stackproof.roles.features import Aggregate, Feature, FeatureView

MICROSECOND = timedelta(microseconds=1)
Numbers = NDArray[np.int64]


class Entities:
    """Numbers the entities of a table: equal keys have equal numbers, from 0 without a gap."""

    def __init__(self, keys: list[Any]) -> None:
        """`keys`: the key columns, of strings or whole numbers, without nulls."""
        self._levels: list[tuple[Any, Numbers]] = []
        numbers = np.zeros(len(keys[0]), dtype=np.int64)
        for column in keys:
            coded = column.dictionary_encode()
            codes = numbers * max(len(coded.dictionary), 1) + coded.indices.to_numpy().astype(np.int64)
            known, numbers = np.unique(codes, return_inverse=True)
            self._levels.append((coded.dictionary, known))
        self.numbers: Numbers = numbers.astype(np.int64)
        """Of each row."""

    def find(self, keys: list[Any]) -> Numbers:
        """The number of the entity in each row of these columns; -1 for an unknown one and for a null."""
        compute = tool_module("pyarrow.compute")
        numbers = np.zeros(len(keys[0]), dtype=np.int64)
        for column, (values, known) in zip(keys, self._levels, strict=True):
            found = compute.index_in(column, value_set=values, skip_nulls=True).fill_null(-1).to_numpy()
            codes = numbers * max(len(values), 1) + found
            places = np.searchsorted(known, codes)
            there = (numbers >= 0) & (found >= 0) & (places < len(known))
            there[there] = known[places[there]] == codes[there]
            numbers = np.where(there, places, -1)
        return numbers


@dataclass(frozen=True, slots=True)
class Changes:
    """Sorted by entity and instant, no two rows alike in these.

    `keys`: the key columns. `numbers`: of the rows' entities, as `entities` gives them. `at`: from when on the values
    hold. `values`: the features by name. `seen`: the instant of the latest source row used; null when a window is
    empty. `rows`: source rows with a key and an instant. `watermark`: the latest instant of those; None with no rows.
    """

    keys: list[Any]
    entities: Entities
    numbers: Numbers
    at: Numbers
    values: Any
    seen: Any
    rows: int
    watermark: int | None


def micros(span: timedelta) -> int:
    return span // MICROSECOND


def changes_of(view: FeatureView, source: Any) -> Changes:
    """The changes of a view whose source was checked."""
    pyarrow = tool_module("pyarrow")
    keys = [as_keys(source.column(column)) for column in view.entity]
    at, usable = as_instants(source.column(view.known_at))
    for column in keys:
        usable = usable & column.is_valid().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(usable)
    entities = Entities([picked(column, rows) for column in keys])
    order = np.lexsort((at[rows], entities.numbers))
    rows, numbers, at = rows[order], entities.numbers[order], at[rows][order]
    watermark = int(at.max()) if len(at) else None
    if view.window is None:
        last = _last_of_each(numbers, at)
        used, numbers, at = rows[last], numbers[last], at[last]
        values = source.select([f.column for f in view.features]).take(pyarrow.array(used))
        values, seen = values.rename_columns([f.name for f in view.features]), pyarrow.array(at)
    else:
        windows = _Windows(numbers, at, micros(view.window))
        columns = {f.name: windows.aggregate(f, picked(whole(source.column(f.column)), rows)) for f in view.features}
        used, numbers, at = rows[windows.any_row], windows.numbers, windows.at
        values, seen = pyarrow.table(columns), windows.seen()
    return Changes([picked(column, used) for column in keys], entities, numbers, at, values, seen, len(rows), watermark)


def _last_of_each(numbers: Numbers, at: Numbers) -> NDArray[np.bool_]:
    """Of neighbours that agree in entity and instant, the last."""
    last = np.ones(len(at), dtype=bool)
    last[:-1] = (numbers[1:] != numbers[:-1]) | (at[1:] != at[:-1])
    return last


class _Windows:
    """The windows of a view at every instant at which one changes, over rows sorted by entity and instant.

    Each sum is made from the rows of its window alone: a running sum that subtracts what leaves would keep the
    rounding of every value that ever passed.
    """

    def __init__(self, numbers: Numbers, at: Numbers, span: int) -> None:
        """`numbers` and `at`: of the rows that enter. `span`: of the window."""
        instants = np.unique(np.concatenate([at, at + span]))
        width = len(instants) + 1
        entered = numbers * width + np.searchsorted(instants, at) + 1
        changes = np.unique(np.concatenate([entered, numbers * width + np.searchsorted(instants, at + span) + 1]))
        entity, rank = changes // width, changes % width
        self.numbers: Numbers = entity
        self.at: Numbers = instants[rank - 1]
        before = np.searchsorted(instants, self.at - span, side="right")
        self._first = np.searchsorted(entered, entity * width + before, side="right")
        self._end = np.searchsorted(entered, changes, side="right")
        self._entered = at
        self.any_row: Numbers = self._end - 1
        """For each change a row of its entity."""

    def seen(self) -> Any:
        """The latest instant inside each window, null when it is empty."""
        empty = self._end == self._first
        return tool_module("pyarrow").array(self._entered[self.any_row], mask=empty)

    def aggregate(self, feature: Feature, column: Any) -> Any:
        """The feature's value in each window, from the values of its column in the rows that enter."""
        pyarrow = tool_module("pyarrow")
        numbers, there = _countable(column)
        totals = np.concatenate([[0], np.cumsum(there)])
        counts = totals[self._end] - totals[self._first]
        if feature.aggregate is Aggregate.COUNT:
            return pyarrow.array(counts.astype(np.int64))
        if feature.aggregate in (Aggregate.MIN, Aggregate.MAX):
            found = self._reduced(numbers, there, feature.aggregate)
            return pyarrow.array(found, mask=counts == 0)
        sums = self._reduced(numbers, there, Aggregate.SUM)
        if feature.aggregate is Aggregate.SUM:
            return pyarrow.array(sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            return pyarrow.array(sums.astype(np.float64) / counts, mask=counts == 0)

    def _reduced(self, numbers: NDArray[Any], there: NDArray[np.bool_], aggregate: Aggregate) -> NDArray[Any]:
        """Sum, least or greatest of each window's values; what is missing counts for nothing."""
        how, neutral = _reduction(aggregate, numbers.dtype)
        filled = np.append(np.where(there, numbers, neutral), neutral).astype(numbers.dtype)
        found = np.full(len(self.at), neutral, dtype=numbers.dtype)
        full = self._end > self._first
        bounds = np.stack([self._first[full], self._end[full]], axis=1).ravel()
        with np.errstate(invalid="ignore", over="ignore"):
            found[full] = how.reduceat(filled, bounds)[::2] if len(bounds) else found[full]
        return found


def _reduction(aggregate: Aggregate, dtype: "np.dtype[Any]") -> tuple[Any, Any]:
    """The function, and the value that leaves its result as it is."""
    if aggregate is Aggregate.SUM:
        return np.add, dtype.type(0)
    least, greatest = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return (np.minimum, greatest) if aggregate is Aggregate.MIN else (np.maximum, least)


def _countable(column: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers, and which there are: NaN is missing in an aggregate; of what can't be added only the presence counts."""
    pyarrow = tool_module("pyarrow")
    types = pyarrow.types
    there = column.is_valid().to_numpy(zero_copy_only=False)
    if types.is_floating(column.type) or types.is_decimal(column.type) or types.is_null(column.type):
        numbers = column.cast(pyarrow.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        return numbers, there & ~np.isnan(numbers)
    if types.is_uint64(column.type):
        return column.fill_null(0).to_numpy(zero_copy_only=False), there
    if types.is_integer(column.type) or types.is_boolean(column.type):
        return column.cast(pyarrow.int64()).fill_null(0).to_numpy(zero_copy_only=False), there
    return np.zeros(len(column), dtype=np.int64), there
