"""The in-memory index of one materialization: an entity's values at an instant, in a few microseconds."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from stackproof.adapters.features.changes import Changes, by_entity, key_names, micros
from stackproof.adapters.features.frame_columns import key_kind
from stackproof.adapters.features.windows import AT, ROW, SEEN, ZERO_WHEN_EMPTY, value_name
from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int, np.integer),
    "boolean": (bool, np.bool_),
}
_SERVED = (pl.String, pl.Boolean)
_SERVED_AS = (
    (pl.Decimal, pl.Float64()),
    (pl.Null, pl.Float64()),
    (pl.Categorical, pl.String()),
    (pl.Enum, pl.String()),
)


def columnar(view: FeatureView, changes: Changes) -> pl.DataFrame:
    """The changes as one table: keys, `at`, `seen`, `value_0`, ..., sorted by keys and `at`.

    Raises `InvalidTable` for a feature whose type has no online value.
    """
    index = by_entity(view, changes)
    row = index.get_column(ROW)
    served = [_served(view, series) for series in changes.values]
    values = pl.DataFrame({value_name(n): series.gather(row) for n, series in enumerate(served)})
    keys_and_at = index.select(*key_names(view), AT)
    return keys_and_at.with_columns(changes.seen.gather(row).alias(SEEN)).hstack(values)


def _served(view: FeatureView, series: pl.Series) -> pl.Series:
    for kind, served_as in _SERVED_AS:
        if isinstance(series.dtype, kind):
            return series.cast(served_as)
    if series.dtype.is_numeric() or isinstance(series.dtype, _SERVED):
        return series
    raise InvalidTable(
        f"The feature {series.name!r} of {view.name!r} cannot be looked up online",
        got=f"the type {series.dtype}",
        allowed="numbers, booleans and strings",
    )


class _WithGaps:
    """A column of numbers some of which are missing."""

    __slots__ = ("_there", "_values")

    def __init__(self, series: pl.Series) -> None:
        self._there = series.is_not_null().to_numpy().data
        self._values = _readable(series.fill_null(strategy="zero"))

    def __getitem__(self, row: int) -> Value:
        return self._values[row] if self._there[row] else None


def _readable(series: pl.Series) -> Any:
    """Something that gives the Python value of a row for `[row]`."""
    if isinstance(series.dtype, pl.String) or series.dtype in (pl.Int128, pl.UInt128, pl.Float16):
        return series.to_list()
    if isinstance(series.dtype, pl.Boolean) and series.null_count():
        return series.to_list()
    if series.null_count():
        return _WithGaps(series)
    return np.ascontiguousarray(series.to_numpy()).data


@dataclass(frozen=True, slots=True)
class Served:
    """What an index needs besides its table. `watermark`: microseconds since 1970; None with no rows."""

    view: FeatureView
    version: str
    watermark: int | None


class ViewIndex:
    """Answers lookups from one materialization; immutable, so that many threads may ask at once."""

    def __init__(self, served: Served, table: pl.DataFrame) -> None:
        view = served.view
        self._view = view
        self._version = served.version
        self._latest = served.watermark if served.watermark is not None else 0
        self._max_age = None if view.max_age is None else micros(view.max_age)
        self._kinds = [key_kind(table.schema[name]) for name in key_names(view)]
        self._slices = _slices(table.select(key_names(view)))
        self._at = _readable(table.get_column(AT))
        self._seen = _readable(table.get_column(SEEN))
        self._columns = [
            (feature.name, _readable(table.get_column(value_name(n)))) for n, feature in enumerate(view.features)
        ]
        self._nothing: dict[str, Value] = dict.fromkeys(feature.name for feature in view.features)
        self._empty = self._nothing | {f.name: 0 for f in view.features if f.aggregate in ZERO_WHEN_EMPTY}
        self._key_of = _key_reader(view.entity)

    def lookup(self, request: LookupRequest) -> FeatureRow:
        """What is known of the entity at the instant; `as_of` None is the watermark.

        Raises `RefusedInput` for a missing key column or a key of another type.
        """
        try:
            key = self._key_of(request.entity)
        except KeyError as missing:
            raise self._missing_key(missing.args[0], request) from None
        found = self._slices.get(key)
        if found is None:
            return self._unknown(request)
        instant = self._latest if request.as_of is None else microseconds(request.as_of)
        first, end = found
        row = bisect_right(self._at, instant, first, end) - 1
        if row < first:
            return FeatureRow(dict(self._empty), None, self._version)
        seen = self._seen[row]
        if self._max_age is not None and instant - seen > self._max_age:
            return FeatureRow(dict(self._empty), None, self._version)
        values = {name: column[row] for name, column in self._columns}
        return FeatureRow(values, None if seen is None else instant_of(seen), self._version)

    def _unknown(self, request: LookupRequest) -> FeatureRow:
        """No such entity, a key that is null, or one that could never be found."""
        given = [request.entity[column] for column in self._view.entity]
        if None in given:
            return FeatureRow(dict(self._nothing), None, self._version)
        for column, kind, value in zip(self._view.entity, self._kinds, given, strict=True):
            assert kind is not None
            if not isinstance(value, _KEY_TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
                raise RefusedInput(
                    f"The key column {column!r} of the feature view {self._view.name!r} holds another type",
                    got=repr(value),
                    allowed=kind,
                )
        return FeatureRow(dict(self._empty), None, self._version)

    def _missing_key(self, column: str, request: LookupRequest) -> RefusedInput:
        return RefusedInput(
            f"The lookup in {self._view.name!r} lacks the key column {column!r}",
            got=", ".join(map(str, request.entity)) or "no key column",
            allowed=", ".join(self._view.entity),
        )


def microseconds(instant: datetime) -> int:
    """Since 1970; an instant without a zone is read as UTC."""
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def instant_of(micros_since_1970: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros_since_1970)


def _key_reader(columns: Sequence[str]) -> Callable[[Mapping[str, Value]], object]:
    """A function that gives the dictionary's key for an entity: the value alone, or a tuple of several."""
    if len(columns) == 1:
        (only,) = columns
        return lambda entity: entity[only]
    return lambda entity: tuple([entity[column] for column in columns])


def _slices(keys: pl.DataFrame) -> dict[object, tuple[int, int]]:
    """For each entity its first row and the row after its last; the keys are sorted."""
    if keys.height == 0:
        return {}
    begins = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in keys.columns)
    starts = keys.select(begins).to_series().arg_true()
    entities = keys[starts]
    bounds = [*starts.to_list(), keys.height]
    names: Sequence[object] = entities.to_series().to_list() if keys.width == 1 else entities.rows()
    return dict(zip(names, pairwise(bounds), strict=True))
