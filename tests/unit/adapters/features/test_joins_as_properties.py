from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting
from stackproof.roles.features import Aggregate, Feature, FeatureView, LookupRequest
from stackproof.testing.features_reference import (
    EVENTS,
    INSTANT,
    MOMENTS,
    expected_value,
    hours,
    same,
    table_of,
    windowed,
)

MICROSECOND = timedelta(microseconds=1)
INSTANTS = st.builds(
    lambda hour, micros: hours(hour) + micros * MICROSECOND, st.integers(0, 12), st.sampled_from([-1, 0, 0, 0, 1])
)
KEYS = st.sampled_from(["a", "b", "ß", "never", None])
SOURCES = st.lists(
    st.fixed_dictionaries(
        {
            "key": KEYS.filter(lambda key: key != "never"),
            "known_at": st.none() | INSTANTS,
            "x": st.none() | st.integers(-9, 9),
        }
    ),
    max_size=30,
)
ROWS = st.lists(st.fixed_dictionaries({"key": KEYS, "at": st.none() | INSTANTS}), max_size=20)
WINDOWS = st.builds(
    windowed, st.sampled_from(Aggregate), st.sampled_from([MICROSECOND, hours(3) - hours(0), hours(99) - hours(0)])
)
PLAIN = st.builds(
    lambda age: FeatureView("plain", "events", ("key",), "known_at", (Feature("last_x", "x"),), max_age=age),
    st.sampled_from([None, timedelta(0), hours(2) - hours(0)]),
)
FLOATS = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([1e16, -1e16, float("inf"), float("nan"), 1e-9])


@pytest.fixture(scope="module")
def adapter() -> Any:
    with TemporaryDirectory() as folder:
        made = EmbeddedFeatures(Setting(home=Path(folder)))
        yield made
        made.close()


def joined(adapter: EmbeddedFeatures, view: FeatureView, source: list[Any], rows: list[Any]) -> list[Any]:
    result = adapter.point_in_time_join(table_of(rows, MOMENTS), [(view, table_of(source, EVENTS))], as_of="at")
    assert result.select("key", "at").rows() == [(row["key"], row["at"]) for row in rows]
    return result.get_column(view.features[0].name).to_list()


@given(view=PLAIN | WINDOWS, source=SOURCES, rows=ROWS)
def test_a_join_equals_a_search_row_by_row(adapter: Any, view: FeatureView, source: list[Any], rows: list[Any]) -> None:
    found = joined(adapter, view, source, rows)
    expected = [expected_value(view, view.features[0], source, row, "at") for row in rows]
    assert all(map(same, found, expected)), (found, expected)


@given(view=PLAIN | WINDOWS, source=SOURCES, later=SOURCES, rows=ROWS, cut=INSTANTS)
def test_what_is_known_after_the_instant_changes_no_bit(
    adapter: Any, view: FeatureView, source: list[Any], later: list[Any], rows: list[Any], cut: Any
) -> None:
    past = [row for row in source if row["known_at"] is None or row["known_at"] <= cut]
    future = [row for row in later if row["known_at"] is None or row["known_at"] > cut]
    asked = [row for row in rows if row["at"] is None or row["at"] <= cut]
    assert joined(adapter, view, past + future, asked) == joined(adapter, view, past, asked)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(view=PLAIN | WINDOWS, source=SOURCES, rows=ROWS)
def test_a_lookup_equals_the_join(adapter: Any, view: FeatureView, source: list[Any], rows: list[Any]) -> None:
    asked = [row for row in rows if row["at"] is not None]
    adapter.materialize(view, table_of(source, EVENTS), version="v")
    found = adapter.lookup(view.name, [LookupRequest({"key": row["key"]}, row["at"]) for row in asked])
    assert [row.values[view.features[0].name] for row in found] == joined(adapter, view, source, asked)


@given(values=st.lists(FLOATS, min_size=1, max_size=12), aggregate=st.sampled_from([Aggregate.SUM, Aggregate.MEAN]))
def test_a_sum_owes_nothing_to_values_outside_of_its_window(
    adapter: Any, values: list[Any], aggregate: Aggregate
) -> None:
    view = windowed(aggregate)
    source = pl.DataFrame(
        {"key": ["a"] * len(values), "known_at": [hours(n) for n in range(len(values))], "x": values},
        schema={"key": pl.String, "known_at": INSTANT, "x": pl.Float64},
    )
    rows = table_of([{"key": "a", "at": hours(n)} for n in range(len(values))], MOMENTS)
    whole = adapter.point_in_time_join(rows, [(view, source)], as_of="at").get_column(view.features[0].name)
    for n in range(len(values)):
        alone = adapter.point_in_time_join(rows[n : n + 1], [(view, source[max(0, n - 2) : n + 1])], as_of="at")
        assert whole[n : n + 1].equals(alone.get_column(view.features[0].name))
