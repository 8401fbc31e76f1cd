"""The contract of `stackproof.roles.features`, executable. Subclass `FeaturesConformance`."""

import math
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.errors import InvalidTable, NotFound, RefusedInput
from stackproof.roles.features import Aggregate, Feature, FeatureView, LookupRequest, Materialization, Value
from stackproof.testing.conformance import Conformance, needs
from stackproof.testing.features_reference import (
    EVENTS,
    EVERY_KIND,
    HOUR,
    INSTANT,
    MOMENTS,
    WEATHER,
    events,
    expected_value,
    flights,
    hours,
    moments,
    observations,
    random_events,
    random_moments,
    same,
    table_of,
    windowed,
)


class HistoricalConformance(Conformance):
    """Capability "historical"."""

    def joined(
        self, adapter: Any, rows: pl.DataFrame, *views: tuple[FeatureView, pl.DataFrame], as_of: str = "departs"
    ) -> pl.DataFrame:
        needs(adapter, "historical")
        return pl.DataFrame(adapter.point_in_time_join(rows, views, as_of=as_of))

    def temperatures(
        self, adapter: Any, rows: pl.DataFrame, source: pl.DataFrame, view: FeatureView = WEATHER
    ) -> list[float | None]:
        return self.joined(adapter, rows, (view, source)).get_column("temp").to_list()

    def test_the_latest_row_known_at_the_instant_counts(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0), ("JFK", 2, 2.0), ("JFK", 4, 3.0), ("LGA", 1, 9.0))
        rows = flights(("JFK", 1), ("JFK", 2), ("JFK", 3), ("JFK", 99), ("LGA", 2))
        assert self.temperatures(adapter, rows, source) == [1.0, 2.0, 2.0, 3.0, 9.0]

    def test_nothing_known_before_the_instant_is_null(self, adapter: Any) -> None:
        source = observations(("JFK", 2, 1.0))
        assert self.temperatures(adapter, flights(("JFK", 1.999), ("EWR", 5)), source) == [None, None]

    def test_a_microsecond_decides(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0), ("JFK", 2, 2.0))
        rows = pl.DataFrame(
            {"origin": ["JFK", "JFK"], "departs": [hours(2) - timedelta(microseconds=1), hours(2)]},
            schema={"origin": pl.String, "departs": INSTANT},
        )
        assert self.temperatures(adapter, rows, source) == [1.0, 2.0]

    def test_on_equal_instants_the_later_source_row_counts(self, adapter: Any) -> None:
        source = observations(("JFK", 1, 1.0), ("JFK", 0, 5.0), ("JFK", 1, 2.0), ("JFK", 1, 3.0), ("JFK", 0, 6.0))
        assert self.temperatures(adapter, flights(("JFK", 1), ("JFK", 0.5)), source) == [3.0, 6.0]

    def test_rows_and_their_order_are_kept(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0))
        rows = flights(("LGA", 5), ("JFK", 3), (None, 1), ("JFK", 3), ("JFK", None), ("EWR", 0))
        rows = rows.with_columns(number=pl.Series([6, 5, 4, 3, 2, 1]), text=pl.lit("é"))
        result = self.joined(adapter, rows, (WEATHER, source))
        assert result.columns == [*rows.columns, "temp"]
        assert result.select(rows.columns).rows() == rows.rows()

    def test_the_tables_given_are_not_changed(self, adapter: Any) -> None:
        source = observations(("JFK", 3, 1.0), ("JFK", 0, 2.0))
        rows = flights(("JFK", 5), ("JFK", 1))
        before = source.rows(), rows.rows(), source.columns, rows.columns
        self.joined(adapter, rows, (WEATHER, source))
        assert (source.rows(), rows.rows(), source.columns, rows.columns) == before

    def test_a_null_key_or_instant_is_null(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0), (None, 0, 7.0), ("JFK", None, 8.0))
        rows = flights((None, 5), ("JFK", None), ("JFK", 5))
        assert self.temperatures(adapter, rows, source) == [None, None, 1.0]

    def test_the_latest_value_counts_even_when_it_is_null(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0), ("JFK", 1, None))
        assert self.temperatures(adapter, flights(("JFK", 2)), source) == [None]

    def test_nan_and_infinity_are_kept(self, adapter: Any) -> None:
        source = observations(("JFK", 0, math.nan), ("LGA", 0, math.inf), ("EWR", 0, -math.inf))
        found = self.temperatures(adapter, flights(("JFK", 1), ("LGA", 1), ("EWR", 1)), source)
        assert found[0] is not None
        assert math.isnan(found[0])
        assert found[1:] == [math.inf, -math.inf]

    def test_a_value_as_old_as_max_age_counts_and_an_older_one_is_missing(self, adapter: Any) -> None:
        view = FeatureView("w", "o", ("origin",), "known_at", (Feature("temp", "temp"),), max_age=2 * HOUR)
        source = observations(("JFK", 0, 1.0))
        assert self.temperatures(adapter, flights(("JFK", 2), ("JFK", 2.001)), source, view) == [1.0, None]

    def test_an_entity_may_have_several_columns(self, adapter: Any) -> None:
        view = FeatureView("v", "s", ("origin", "carrier"), "known_at", (Feature("delay", "delay"),))
        source = pl.DataFrame(
            {
                "carrier": [1, 2, 1, None],
                "origin": ["JFK", "JFK", "LGA", "JFK"],
                "known_at": [hours(0)] * 4,
                "delay": [10, 20, 30, 40],
            }
        )
        rows = pl.DataFrame(
            {"origin": ["JFK", "LGA", "LGA", "JFK"], "carrier": [2, 1, 2, None], "departs": [hours(1)] * 4}
        )
        assert self.joined(adapter, rows, (view, source)).get_column("delay").to_list() == [20, 30, None, None]

    def test_integer_keys_of_different_width_meet(self, adapter: Any) -> None:
        view = FeatureView("v", "s", ("plane",), "known_at", (Feature("seats", "seats"),))
        source = pl.DataFrame({"plane": [1, 2], "known_at": [hours(0)] * 2, "seats": [100, 200]})
        rows = pl.DataFrame({"plane": [2, 3], "departs": [hours(1)] * 2}).with_columns(pl.col("plane").cast(pl.Int16))
        assert self.joined(adapter, rows, (view, source)).get_column("seats").to_list() == [200, None]

    def test_features_come_in_the_order_of_the_views(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0)).with_columns(wind=pl.lit(5.0), sky=pl.lit("clear"))
        one = FeatureView("one", "o", ("origin",), "known_at", (Feature("sky", "sky"), Feature("wind", "wind")))
        result = self.joined(adapter, flights(("JFK", 1)), (one, source), (WEATHER, source))
        assert result.select("sky", "wind", "temp").row(0) == ("clear", 5.0, 1.0)
        assert result.columns == ["origin", "departs", "sky", "wind", "temp"]

    def test_no_rows_give_no_rows_with_the_columns(self, adapter: Any) -> None:
        result = self.joined(adapter, flights(), (WEATHER, observations(("JFK", 0, 1.0))))
        assert result.height == 0
        assert result.columns == ["origin", "departs", "temp"]

    def test_a_source_without_rows_gives_nulls(self, adapter: Any) -> None:
        assert self.temperatures(adapter, flights(("JFK", 1), ("LGA", 2)), observations()) == [None, None]

    def test_any_column_name_of_the_rows_is_kept(self, adapter: Any) -> None:
        names = [
            "row",
            "at",
            "position",
            "index",
            "key_0",
            "seen",
            "known_at",
            "value_0",
            "__index_level_0__",
            "temp_right",
        ]
        rows = flights(("JFK", 1), ("LGA", 1)).with_columns(pl.lit(n).alias(name) for n, name in enumerate(names))
        result = self.joined(adapter, rows, (WEATHER, observations(("JFK", 0, 1.0))))
        assert result.select(rows.columns).rows() == rows.rows()
        assert result.get_column("temp").to_list() == [1.0, None]

    @pytest.mark.parametrize("lacking", ["origin", "departs"])
    def test_rows_without_a_needed_column_are_refused(self, adapter: Any, lacking: str) -> None:
        with pytest.raises(InvalidTable, match=lacking):
            self.joined(adapter, flights(("JFK", 1)).drop(lacking), (WEATHER, observations(("JFK", 0, 1.0))))

    @pytest.mark.parametrize("lacking", ["origin", "known_at", "temp"])
    def test_a_source_without_a_needed_column_is_refused(self, adapter: Any, lacking: str) -> None:
        with pytest.raises(InvalidTable, match=lacking):
            self.joined(adapter, flights(("JFK", 1)), (WEATHER, observations(("JFK", 0, 1.0)).drop(lacking)))

    def test_a_feature_may_not_take_the_name_of_a_column(self, adapter: Any) -> None:
        rows = flights(("JFK", 1)).with_columns(temp=pl.lit(0.0))
        with pytest.raises(InvalidTable, match="temp"):
            self.joined(adapter, rows, (WEATHER, observations(("JFK", 0, 1.0))))

    def test_two_features_may_not_have_one_name(self, adapter: Any) -> None:
        source = observations(("JFK", 0, 1.0))
        other = FeatureView("other", "o", ("origin",), "known_at", (Feature("temp", "temp"),))
        with pytest.raises(InvalidTable, match="temp"):
            self.joined(adapter, flights(("JFK", 1)), (WEATHER, source), (other, source))

    @pytest.mark.parametrize("view", EVERY_KIND, ids=lambda view: view.name)
    def test_what_becomes_known_later_changes_nothing(self, adapter: Any, view: FeatureView) -> None:
        past = [row for row in random_events(1) if row["known_at"] is not None and row["known_at"] <= hours(6)]
        future = [
            {"key": key, "known_at": hours(6) + timedelta(microseconds=1 + n), "x": 10**6}
            for n in range(20)
            for key in ("a", "b", "ü")
        ]
        rows = table_of([row for row in random_moments(1) if row["at"] is None or row["at"] <= hours(6)], MOMENTS)
        without = self.joined(adapter, rows, (view, table_of(past, EVENTS)), as_of="at")
        with_future = self.joined(adapter, rows, (view, table_of([*future, *past], EVENTS)), as_of="at")
        assert with_future.rows() == without.rows()


class WindowConformance(HistoricalConformance):
    """Aggregates over a window, for capability "historical"."""

    def values(self, adapter: Any, aggregate: Aggregate, rows: pl.DataFrame, source: pl.DataFrame) -> list[Value]:
        result = self.joined(adapter, rows, (windowed(aggregate), source), as_of="at")
        return result.get_column(f"{aggregate}_x").to_list()

    def test_a_window_holds_its_end_and_not_its_beginning(self, adapter: Any) -> None:
        source = events(("a", 0, 1.0), ("a", 2, 10.0))
        rows = moments(("a", 0), ("a", 1), ("a", 2), ("a", 2.999), ("a", 3), ("a", 4.999), ("a", 5))
        assert self.values(adapter, Aggregate.SUM, rows, source) == [1.0, 1.0, 11.0, 11.0, 10.0, 10.0, 0.0]

    @pytest.mark.parametrize(
        ("aggregate", "expected"),
        [
            (Aggregate.MEAN, 4.0),
            (Aggregate.SUM, 12.0),
            (Aggregate.COUNT, 3),
            (Aggregate.MIN, 1.0),
            (Aggregate.MAX, 9.0),
        ],
    )
    def test_missing_values_are_left_out(self, adapter: Any, aggregate: Aggregate, expected: float) -> None:
        source = events(("a", 0, 2.0), ("a", 1, None), ("a", 1, 9.0), ("a", 2, 1.0), ("b", 2, 100.0))
        assert self.values(adapter, aggregate, moments(("a", 2.5)), source) == [expected]

    @pytest.mark.parametrize("aggregate", Aggregate)
    def test_an_empty_window_counts_zero_and_has_no_mean(self, adapter: Any, aggregate: Aggregate) -> None:
        source = events(("a", 1, 2.0), ("a", 1, 0.1), ("b", 1, None))
        rows = moments(("a", 0), ("a", 9), ("never", 5), ("b", 2))
        expected = 0 if aggregate in (Aggregate.COUNT, Aggregate.SUM) else None
        assert self.values(adapter, aggregate, rows, source) == [expected] * 4
        assert self.values(adapter, aggregate, rows, source.clear()) == [expected] * 4

    @pytest.mark.parametrize("aggregate", Aggregate)
    def test_a_window_of_a_null_key_or_instant_is_null(self, adapter: Any, aggregate: Aggregate) -> None:
        rows = table_of([{"key": None, "at": hours(1)}, {"key": "a", "at": None}], MOMENTS)
        assert self.values(adapter, aggregate, rows, events(("a", 1, 2.0))) == [None, None]

    def test_a_large_value_that_left_the_window_leaves_no_trace(self, adapter: Any) -> None:
        source = events(("a", 0, 1e16), ("a", 1, 0.25), ("a", 2, 0.5), ("a", 4, 0.125))
        assert self.values(adapter, Aggregate.SUM, moments(("a", 3), ("a", 4)), source) == [0.75, 0.625]

    @pytest.mark.parametrize("view", EVERY_KIND, ids=lambda view: view.name)
    @pytest.mark.parametrize("seed", range(3))
    def test_a_join_equals_a_slow_search_row_by_row(self, adapter: Any, view: FeatureView, seed: int) -> None:
        source, rows = random_events(seed), random_moments(seed)
        (feature,) = view.features
        joined = self.joined(adapter, table_of(rows, MOMENTS), (view, table_of(source, EVENTS)), as_of="at")
        expected = [expected_value(view, feature, source, row, "at") for row in rows]
        found = joined.get_column(feature.name).to_list()
        assert all(map(same, found, expected)), [*zip(rows, found, expected, strict=True)]


def asked(origin: Value, hour: float | None = None) -> LookupRequest:
    return LookupRequest({"origin": origin}, None if hour is None else hours(hour))


class OnlineConformance(Conformance):
    """Capabilities "online" and "online-as-of"."""

    def online(self, adapter: Any, *rows: tuple[str | None, float | None, float | None], version: str = "v1") -> Any:
        needs(adapter, "online")
        adapter.materialize(WEATHER, observations(*rows), version=version)
        return adapter

    def test_the_latest_values_come_in_the_order_of_the_requests(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 2, 2.0), ("JFK", 0, 1.0), ("LGA", 1, 9.0))
        found = online.lookup("weather", [asked("LGA"), asked("JFK"), asked("LGA")])
        assert [row.values for row in found] == [{"temp": 9.0}, {"temp": 2.0}, {"temp": 9.0}]
        assert [row.known_at for row in found] == [hours(1), hours(2), hours(1)]
        assert {row.version for row in found} == {"v1"}

    def test_an_unknown_or_null_entity_has_no_values(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0), (None, 0, 2.0))
        for row in online.lookup("weather", [asked("EWR"), asked(None)]):
            assert dict(row.values) == {"temp": None}
            assert row.known_at is None

    def test_no_requests_give_no_rows(self, adapter: Any) -> None:
        assert self.online(adapter, ("JFK", 0, 1.0)).lookup("weather", []) == []

    def test_a_view_never_materialized_is_not_found(self, adapter: Any) -> None:
        needs(adapter, "online")
        with pytest.raises(NotFound, match="wether"):
            adapter.lookup("wether", [asked("JFK")])

    def test_a_request_without_the_key_column_is_refused(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0))
        with pytest.raises(RefusedInput, match="origin"):
            online.lookup("weather", [LookupRequest({"orign": "JFK"})])

    def test_materializing_says_what_is_readable(self, adapter: Any) -> None:
        needs(adapter, "online")
        source = observations(("JFK", 2, 2.0), ("JFK", 5, 1.0), ("LGA", 1, 9.0))
        other = FeatureView("another", "o", ("origin",), "known_at", (Feature("temp", "temp"),))
        made = adapter.materialize(WEATHER, source, version="v1")
        empty = adapter.materialize(other, source.clear(), version="v0")
        assert made == Materialization("weather", "v1", 3, hours(5))
        assert empty == Materialization("another", "v0", 0, None)
        assert adapter.materialized() == [empty, made]

    def test_nothing_is_readable_at_first(self, adapter: Any) -> None:
        needs(adapter, "online")
        assert adapter.materialized() == []

    def test_materializing_again_replaces_everything(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0), ("LGA", 0, 1.0))
        self.online(adapter, ("JFK", 9, 5.0), version="v2")
        jfk, lga = online.lookup("weather", [asked("JFK"), asked("LGA")])
        assert (jfk.values, jfk.version) == ({"temp": 5.0}, "v2")
        assert dict(lga.values) == {"temp": None}
        assert [found.version for found in online.materialized()] == ["v2"]

    def test_the_same_table_under_a_new_version_has_the_new_version(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0), version="v1")
        online.lookup("weather", [asked("JFK")])
        self.online(adapter, ("JFK", 0, 1.0), version="v2")
        assert online.lookup("weather", [asked("JFK")])[0].version == "v2"

    def test_a_materialization_outlives_its_adapter(self, adapter: Any, home: Path) -> None:
        self.online(adapter, ("JFK", 0, 1.5)).close()
        again = self.make(home)
        assert again.lookup("weather", [asked("JFK")])[0].values == {"temp": 1.5}
        assert again.materialized() == [Materialization("weather", "v1", 1, hours(0))]
        again.close()

    def test_another_adapter_over_the_same_home_sees_a_replacement_at_once(self, adapter: Any, home: Path) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0))
        assert online.lookup("weather", [asked("JFK")])[0].values == {"temp": 1.0}
        second = self.make(home)
        self.online(second, ("JFK", 0, 2.0), version="v2")
        assert online.lookup("weather", [asked("JFK")])[0].values == {"temp": 2.0}
        second.close()

    def test_values_are_plain_python_values(self, adapter: Any) -> None:
        needs(adapter, "online")
        names = ("whole", "real", "text", "yes", "gap")
        view = FeatureView("kinds", "s", ("key",), "known_at", tuple(Feature(name, name) for name in names))
        source = pl.DataFrame(
            {
                "key": [1, 2],
                "known_at": [hours(0)] * 2,
                "whole": [3, None],
                "real": [0.5, math.inf],
                "text": ["ñ", None],
                "yes": [True, False],
                "gap": [None, 7],
            }
        )
        adapter.materialize(view, source, version="v")
        one, two = adapter.lookup("kinds", [LookupRequest({"key": 1}), LookupRequest({"key": 2})])
        assert dict(one.values) == {"whole": 3, "real": 0.5, "text": "ñ", "yes": True, "gap": None}
        assert dict(two.values) == {"whole": None, "real": math.inf, "text": None, "yes": False, "gap": 7}
        assert [type(one.values[name]) for name in names[:4]] == [int, float, str, bool]

    def test_a_refused_table_leaves_the_old_one_readable(self, adapter: Any) -> None:
        online = self.online(adapter, ("JFK", 0, 1.0))
        with pytest.raises(InvalidTable, match="temp"):
            online.materialize(WEATHER, observations(("JFK", 0, 9.0)).drop("temp"), version="v2")
        assert online.lookup("weather", [asked("JFK")])[0].values == {"temp": 1.0}

    def test_an_entity_may_be_looked_up_by_several_columns_in_any_order(self, adapter: Any) -> None:
        needs(adapter, "online")
        view = FeatureView("pair", "s", ("origin", "number"), "known_at", (Feature("x", "x"),))
        source = pl.DataFrame(
            {"number": [1, 2, 1], "origin": ["a", "a", "b"], "known_at": [hours(0)] * 3, "x": [1, 2, 3]}
        )
        adapter.materialize(view, source, version="v")
        requests = [LookupRequest({"number": 2, "origin": "a"}), LookupRequest({"origin": "b", "number": 1})]
        assert [row.values["x"] for row in adapter.lookup("pair", requests)] == [2, 3]

    def test_all_rows_of_one_call_come_from_one_materialization(self, adapter: Any) -> None:
        origins = [f"o{n}" for n in range(50)]
        online = self.online(adapter, *((o, 0, 0.0) for o in origins), version="0")
        stop, mixed = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                found = online.lookup("weather", [asked(o) for o in origins])
                seen = {(row.version, row.values["temp"]) for row in found}
                if len(seen) != 1 or any(float(version) != temp for version, temp in seen):
                    mixed.append(seen)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(1, 8):
            self.online(online, *((o, 0, float(n)) for o in origins), version=str(n))
        stop.set()
        for reader in readers:
            reader.join()
        assert mixed == []

    def test_the_latest_window_is_the_one_that_ends_at_the_last_known_row(self, adapter: Any) -> None:
        needs(adapter, "online")
        view = windowed(Aggregate.SUM)
        adapter.materialize(view, events(("a", 0, 1.0), ("a", 2, 2.0), ("a", 4, 4.0)), version="v")
        (row,) = adapter.lookup(view.name, [LookupRequest({"key": "a"})])
        assert row.values == {"sum_x": 6.0}
        assert row.known_at == hours(4)

    @pytest.mark.parametrize("view", EVERY_KIND, ids=lambda view: view.name)
    def test_a_lookup_at_an_instant_equals_the_join_at_that_instant(self, adapter: Any, view: FeatureView) -> None:
        needs(adapter, "historical")
        needs(adapter, "online-as-of")
        source = table_of(random_events(7), EVENTS)
        rows = [row for row in random_moments(7) if row["at"] is not None]
        adapter.materialize(view, source, version="v")
        found = adapter.lookup(view.name, [LookupRequest({"key": row["key"]}, row["at"]) for row in rows])
        joined = pl.DataFrame(adapter.point_in_time_join(table_of(rows, MOMENTS), [(view, source)], as_of="at"))
        name = view.features[0].name
        assert [row.values[name] for row in found] == joined.get_column(name).to_list()

    def test_a_lookup_in_the_past_tells_the_row_that_it_used(self, adapter: Any) -> None:
        needs(adapter, "online-as-of")
        online = self.online(adapter, ("JFK", 0, 1.0), ("JFK", 2, 2.0))
        found = online.lookup("weather", [asked("JFK", 1.9), asked("JFK", 2), asked("JFK", -1)])
        assert [row.known_at for row in found] == [hours(0), hours(2), None]
        assert [row.values["temp"] for row in found] == [1.0, 2.0, None]


class FeaturesConformance(WindowConformance, OnlineConformance):
    """Everything that an adapter of the role `features` owes."""
