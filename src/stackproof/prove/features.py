"""Features: point-in-time joins, materialisation and online lookups, held against a search written for this alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stackproof.errors import RefusedInput
from stackproof.prove.candidate import Opener, Running, Writer
from stackproof.prove.record import Record, timed, times
from stackproof.prove.scenario import Given
from stackproof.prove.tables import read_data
from stackproof.roles.features import Feature, FeatureView, LookupRequest

START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
MICROSECOND = timedelta(microseconds=1)
FEATURES = 10
ENTITY, KNOWN_AT, AS_OF = "entity", "known_at", "as_of"


@dataclass(frozen=True, slots=True)
class Size:
    """Rows to join, rows of each view's source, entities, views, lookups of one entity and of a hundred."""

    rows: int
    source: int
    entities: int
    views: int
    one: int
    hundred: int


SIZES = {
    "smoke": Size(2_000, 5_000, 200, 2, 300, 20),
    "medium": Size(50_000, 100_000, 5_000, 3, 1_000, 100),
    "full": Size(1_000_000, 1_000_000, 50_000, 3, 5_000, 500),
}


@dataclass(frozen=True, slots=True)
class View:
    """A feature view, its source, and the search in it. `codes`: entity to a number, in the order of the entities."""

    view: FeatureView
    source: pl.DataFrame
    codes: dict[Any, int]

    def rows_for(self, entities: pl.Series, instants: pl.Series) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """For each pair the place of the source row that counts, -1 where none does.

        The rows are put in order by entity, instant and place in the source, each pair is searched for among them.
        """
        keys = self._keys(self.source[ENTITY], self.source[KNOWN_AT])
        order = np.argsort(keys, kind="stable")
        asked = self._keys(entities, instants)
        place = np.searchsorted(keys[order], asked, side="right") - 1
        found = order[np.maximum(place, 0)]
        own = self.source[ENTITY].to_numpy()[found] == entities.to_numpy()
        age = instants.dt.timestamp("us").to_numpy() - self.source[KNOWN_AT].dt.timestamp("us").to_numpy()[found]
        limit = self.view.max_age // MICROSECOND if self.view.max_age else np.iinfo(np.int64).max
        return np.where((place >= 0) & own & (age <= limit), found, -1)

    def _keys(self, entities: pl.Series, instants: pl.Series) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """One number that is in order by entity, then by instant; an entity that is unknown comes before all."""
        first = self.source[KNOWN_AT].min()
        last = self.source[KNOWN_AT].max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        width = (last - first) // MICROSECOND + 2
        offset = instants.dt.timestamp("us").to_numpy() - round(first.timestamp() * 1e6)
        codes = np.array([self.codes.get(entity, -1) for entity in entities.to_list()], dtype=np.int64)
        return np.asarray((codes + 1) * width + np.clip(offset, -1, width - 2) + 1, dtype=np.int64)

    def values(self, feature: Feature, places: "np.ndarray[Any, np.dtype[np.int64]]") -> list[float | None]:
        column = self.source[feature.column].to_list()
        return [column[place] if place >= 0 else None for place in places.tolist()]


class FeaturesScenario:
    """Training data from views with late, missing and repeated rows; lookups as a server makes them."""

    name = "join and lookup"
    needs = frozenset[str]()

    def __init__(self, size: str, given: Given) -> None:
        self._size = SIZES[size]
        if given.data is not None:
            self._views, self._rows = _of_the_user(given.data, self._size)
        else:
            self._views = [_made_view(number, self._size) for number in range(self._size.views)]
            self._rows = _made_rows(self._size)

    def round(self, running: Running, folder: Path, record: Record) -> None:
        features = running.adapter
        if "historical" in features.capabilities:
            self._join(features, record)
        if "online" in features.capabilities:
            self._look_up(features, record)

    def _join(self, features: Any, record: Record) -> None:
        views = [(one.view, one.source) for one in self._views]
        few = self._rows.head(10)
        _, seconds = timed(lambda: pl.DataFrame(features.point_in_time_join(few, views[:1], as_of=AS_OF)))
        record.figure("first_call", "s", seconds)
        joined, seconds = timed(lambda: pl.DataFrame(features.point_in_time_join(self._rows, views, as_of=AS_OF)))
        record.figure("join", "s", seconds)
        record.rate("join_rows", self._rows.height, seconds)
        whole = record.check(
            joined.height == self._rows.height,
            f"a join of {self._rows.height:,} rows returned {joined.height:,}",
        )
        if not whole:
            return
        in_order = joined["number"].to_list() == self._rows["number"].to_list()
        if record.check(in_order, "a join returned other rows than it was given, or in another order"):
            self._check_values(joined, record)

    def _check_values(self, joined: pl.DataFrame, record: Record) -> None:
        for one in self._views:
            places = one.rows_for(self._rows[ENTITY], self._rows[AS_OF])
            for feature in one.view.features:
                wanted, found = one.values(feature, places), joined[feature.name].to_list()
                other = sum(a != b for a, b in zip(found, wanted, strict=True))
                record.check(
                    other == 0,
                    f"a join gave {other:,} of {len(wanted):,} values of a feature that differ from the source",
                )

    def _look_up(self, features: Any, record: Record) -> None:
        one = self._views[0]
        made, seconds = timed(lambda: features.materialize(one.view, one.source, version="v1"))
        record.rate("materialize_rows", one.source.height, seconds)
        record.check(made.rows == one.source.height, f"of {one.source.height:,} rows {made.rows:,} were materialized")
        entities = self._asked(self._size.one)
        answers: list[Any] = []
        record.latencies("online_lookup", times(_lookup(features, one, [e], answers) for e in entities))
        self._check_answers(entities, answers, record)
        many = [self._asked(100, shift) for shift in range(self._size.hundred)]
        answers.clear()
        record.latencies("online_lookup_100", times(_lookup(features, one, each, answers) for each in many))
        self._check_answers([entity for each in many for entity in each], answers, record)

    def _asked(self, count: int, shift: int = 0) -> list[Any]:
        """Entities in an order that no cache guesses, one that is unknown among them."""
        known = list(self._views[0].codes)
        chosen = [known[(shift * 31 + place * 7_919) % len(known)] for place in range(count)]
        unknown = "nowhere" if isinstance(known[0], str) else max(known) + 1
        return [*chosen[:-1], unknown]

    def _check_answers(self, entities: list[Any], answers: list[Any], record: Record) -> None:
        one = self._views[0]
        if not record.check(
            len(answers) == len(entities), f"lookups of {len(entities):,} entities gave {len(answers):,} rows"
        ):
            return
        last = one.source[KNOWN_AT].max()
        at = pl.Series([last] * len(entities), dtype=one.source[KNOWN_AT].dtype)
        places = one.rows_for(pl.Series(entities, dtype=one.source[ENTITY].dtype), at)
        for feature in one.view.features:
            wanted = one.values(feature, places)
            other = sum(row.values[feature.name] != value for row, value in zip(answers, wanted, strict=True))
            record.check(other == 0, f"{other:,} of {len(wanted):,} lookups gave another value than the latest row")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        running = opened(home)
        features = running.adapter
        if "online" not in features.capabilities:
            running.close()
            record.note("what a kill loses was not tried: the tool has no online features")
            return
        one = self._views[0]
        sources = [_stamped(one.source, number) for number in range(3)]
        writer = Writer(lambda n: features.materialize(one.view, sources[n % 3], version=f"v{n}"))
        reached, killed = writer.kill(running, 3, later_s=0.02)
        if not record.check(reached, f"a view could not be materialized: {writer.error}"):
            return
        again = opened(home)
        self._check_survived(again.adapter, writer, record)
        record.figure("recovery", "s", time.perf_counter() - killed)
        again.close()

    def _check_survived(self, features: Any, writer: Writer, record: Record) -> None:
        """The last acknowledged materialization is readable, or the one that was under way; and all of it."""
        found = [made.version for made in features.materialized()]
        allowed = [f"v{number}" for number in range(writer.acknowledged - 1, writer.attempted)]
        record.figure("acknowledged", "1", writer.acknowledged)
        if not record.check(
            len(found) == 1 and found[0] in allowed,
            f"after SIGKILL the readable versions are {found}, allowed is one of {allowed}",
        ):
            return
        record.figure("recovered", "1", writer.acknowledged)
        one, stamp = self._views[0], float(int(found[0][1:]) % 3)
        asked = [LookupRequest({ENTITY: entity}) for entity in self._asked(200)[:-1]]
        stamps = {row.values[one.view.features[0].name] for row in features.lookup(one.view.name, asked)}
        record.check(stamps == {stamp}, "after SIGKILL a lookup mixes the rows of two materializations")


def _lookup(features: Any, one: View, entities: list[Any], answers: list[Any]) -> Callable[[], object]:
    requests = [LookupRequest({ENTITY: entity}) for entity in entities]
    return lambda: answers.extend(features.lookup(one.view.name, requests))


def _stamped(source: pl.DataFrame, number: int) -> pl.DataFrame:
    """The source with its first feature the same in every row, so that a row tells its materialization."""
    first = next(name for name in source.columns if name not in (ENTITY, KNOWN_AT))
    return source.with_columns(pl.lit(float(number)).alias(first))


def _made_view(number: int, size: Size) -> View:
    draw = np.random.default_rng(number)
    names = [f"v{number}_f{n}" for n in range(FEATURES)]
    source = pl.DataFrame(
        {
            ENTITY: draw.integers(0, size.entities, size.source),
            KNOWN_AT: _instants(draw, size.source),
            **{name: _values(draw, size.source) for name in names},
        }
    )
    features = tuple(Feature(name, name) for name in names)
    max_age = timedelta(days=20) if number else None
    view = FeatureView(f"view{number}", f"source{number}", (ENTITY,), KNOWN_AT, features, max_age=max_age)
    return View(view, source, _codes(source))


def _codes(source: pl.DataFrame) -> dict[Any, int]:
    return {entity: code for code, entity in enumerate(source[ENTITY].unique().sort().to_list())}


def _instants(draw: np.random.Generator, count: int) -> pl.Series:
    """To the microsecond, one in a hundred to the day, so that some rows of an entity share an instant."""
    micros = draw.integers(0, YEAR // MICROSECOND, count)
    day = timedelta(days=1) // MICROSECOND
    micros = np.where(draw.random(count) < 0.01, micros // day * day, micros)
    return pl.Series(micros + round(START.timestamp() * 1e6)).cast(pl.Datetime("us", "UTC"))


def _values(draw: np.random.Generator, count: int) -> pl.Series:
    missing = draw.random(count) < 0.02
    values: list[float] = draw.normal(size=count).tolist()
    return pl.Series([None if gone else value for value, gone in zip(values, missing, strict=True)], dtype=pl.Float64)


def _made_rows(size: Size) -> pl.DataFrame:
    """To join: some of unknown entities, some before anything is known."""
    draw = np.random.default_rng(99)
    entity = draw.integers(0, round(size.entities * 1.02) + 1, size.rows)
    return pl.DataFrame({"number": np.arange(size.rows), ENTITY: entity, AS_OF: _instants(draw, size.rows)})


def _of_the_user(path: Path, size: Size) -> tuple[list[View], pl.DataFrame]:
    """One view of the file: its first column of instants, the first of keys that repeat, its numbers as features."""
    data = read_data(path)
    times_ = [name for name, kind in data.schema.items() if isinstance(kind, pl.Datetime)]
    keys = [
        name
        for name, kind in data.schema.items()
        if (kind.is_integer() or kind == pl.String) and 1 < data[name].n_unique() < data.height
    ]
    numbers = [name for name, kind in data.schema.items() if kind.is_numeric() and name not in keys[:1]][:FEATURES]
    if not (times_ and keys and numbers):
        raise RefusedInput(
            f"{path.name} is no source of features",
            got=f"instants: {times_[:3]}, keys: {keys[:3]}, numbers: {numbers[:3]}",
            allowed="a column of instants, one of integers or texts that repeat, and further columns of numbers",
        )
    known_at = data[times_[0]].cast(pl.Datetime("us"))
    columns = {ENTITY: data[keys[0]], KNOWN_AT: known_at.dt.replace_time_zone("UTC")}
    values = {f"f{n}": data[name].cast(pl.Float64).fill_nan(None) for n, name in enumerate(numbers)}
    source = pl.DataFrame(columns | values).drop_nulls([ENTITY, KNOWN_AT])
    features = tuple(Feature(name, name) for name in values)
    view = View(FeatureView("given", "given", (ENTITY,), KNOWN_AT, features), source, _codes(source))
    asked = source.select(ENTITY, pl.col(KNOWN_AT).alias(AS_OF)).sample(
        min(size.rows, source.height), seed=7, shuffle=True
    )
    rows = asked.with_columns(pl.col(AS_OF) + pl.duration(minutes=7)).with_row_index("number")
    return [view], rows.with_columns(pl.col("number").cast(pl.Int64))
