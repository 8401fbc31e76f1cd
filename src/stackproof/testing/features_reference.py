"""Tables and the slow, row-by-row reference that the features suite holds an adapter against."""

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from stackproof.roles.features import Aggregate, Feature, FeatureView, Value

Row = Mapping[str, Any]
START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEATHER = FeatureView("weather", "observations", ("origin",), "known_at", (Feature("temp", "temp"),))
INSTANT = pl.Datetime("us", "UTC")


def hours(count: float) -> datetime:
    """The instant so many hours after the start of the tests' time."""
    return START + count * HOUR


def table_of(rows: Sequence[Row], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict(schema), orient="row")


def windowed(aggregate: Aggregate, window: timedelta = 3 * HOUR) -> FeatureView:
    return FeatureView(
        f"recent_{aggregate}", "events", ("key",), "known_at", (Feature(f"{aggregate}_x", "x", aggregate),), window
    )


def expected_value(view: FeatureView, feature: Feature, source: Sequence[Row], row: Row, as_of: str) -> Value:
    """What the contract says, row by row and slowly: the reference that joins are held against."""
    instant = row[as_of]
    key = [row[column] for column in view.entity]
    if instant is None or None in key:
        return None
    known = [
        (candidate[view.known_at], position, candidate[feature.column])
        for position, candidate in enumerate(source)
        if [candidate[column] for column in view.entity] == key
        and candidate[view.known_at] is not None
        and candidate[view.known_at] <= instant
    ]
    if feature.aggregate is None:
        if not known:
            return None
        at, _, value = max(known, key=lambda found: found[:2])
        return None if view.max_age is not None and instant - at > view.max_age else value
    assert view.window is not None
    inside = [value for at, _, value in known if at > instant - view.window and value is not None]
    return _aggregated(feature.aggregate, inside)


def _aggregated(aggregate: Aggregate, values: Sequence[float]) -> Value:
    if aggregate is Aggregate.COUNT:
        return len(values)
    if aggregate is Aggregate.SUM:
        return sum(values)
    if not values:
        return None
    if aggregate is Aggregate.MEAN:
        return sum(values) / len(values)
    return min(values) if aggregate is Aggregate.MIN else max(values)


def same(found: object, expected: object) -> bool:
    """Equal; floats up to rounding; NaN equals NaN."""
    if isinstance(found, float) and isinstance(expected, float | int):
        both_nan = math.isnan(found) and math.isnan(expected)
        return both_nan or found == expected or math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


def random_events(seed: int, count: int = 60) -> list[dict[str, Any]]:
    """Rows with ties, gaps, missing keys, instants and values, in no order."""
    draw = random.Random(seed)
    return [
        {
            "key": draw.choice(["a", "b", "ü", None]),
            "known_at": draw.choice([None, *(hours(n / 2) for n in range(24))]),
            "x": draw.choice([None, *range(-3, 4)]),
        }
        for _ in range(count)
    ]


def random_moments(seed: int, count: int = 60) -> list[dict[str, Any]]:
    draw = random.Random(seed + 1000)
    return [
        {
            "key": draw.choice(["a", "b", "ü", "never", None]),
            "at": draw.choice([None, *(hours(n / 4) for n in range(80))]),
        }
        for _ in range(count)
    ]


EVENTS = {"key": pl.String, "known_at": INSTANT, "x": pl.Int64}
MOMENTS = {"key": pl.String, "at": INSTANT}
LATEST = FeatureView("latest", "events", ("key",), "known_at", (Feature("last_x", "x"),))
FRESH = FeatureView("fresh", "events", ("key",), "known_at", (Feature("fresh_x", "x"),), max_age=2 * HOUR)
EVERY_KIND = (LATEST, FRESH, *(windowed(aggregate) for aggregate in Aggregate))


def observations(*rows: tuple[str | None, float | None, float | None]) -> pl.DataFrame:
    """Origin, hours after the start, temperature."""
    return table_of(
        [{"origin": o, "known_at": None if h is None else hours(h), "temp": t} for o, h, t in rows],
        {"origin": pl.String, "known_at": INSTANT, "temp": pl.Float64},
    )


def flights(*rows: tuple[str | None, float | None]) -> pl.DataFrame:
    """Origin, hours after the start."""
    return table_of(
        [{"origin": o, "departs": None if h is None else hours(h)} for o, h in rows],
        {"origin": pl.String, "departs": INSTANT},
    )


def events(*rows: tuple[str, float, float | None]) -> pl.DataFrame:
    """Key, hours after the start, x."""
    return table_of(
        [{"key": k, "known_at": hours(h), "x": x} for k, h, x in rows],
        {"key": pl.String, "known_at": INSTANT, "x": pl.Float64},
    )


def moments(*rows: tuple[str, float]) -> pl.DataFrame:
    return table_of([{"key": k, "at": hours(h)} for k, h in rows], MOMENTS)
