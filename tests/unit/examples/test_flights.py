"""The flights example, on the real data: no feature knows the future."""

import importlib.util
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting
from stackproof.roles.features import LookupRequest

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights"
CUT = datetime(2013, 1, 15, 17, tzinfo=UTC)
SOME_DAYS = {"train_from": "2013-01-10", "validate_from": "2013-01-14", "until": "2013-01-16"}


@pytest.fixture(scope="module")
def flights() -> Iterator[ModuleType]:
    sys.path.insert(0, str(EXAMPLE))
    spec = importlib.util.spec_from_file_location("flights_example", EXAMPLE / "flights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(EXAMPLE))


@pytest.fixture(scope="module")
def tables(flights: ModuleType) -> dict[str, pl.DataFrame]:
    rows = flights.flights()
    return {
        "flights": rows,
        "planes": flights.planes(),
        "weather_reports": flights.weather_reports(flights.weather()),
        "landings": flights.landings(rows, flights.airports()),
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedFeatures]:
    adapter = EmbeddedFeatures(Setting(home=tmp_path))
    yield adapter
    adapter.close()


def examples(flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures) -> pl.DataFrame:
    class Features:
        def join(self, rows: Any, *, as_of: str) -> pl.DataFrame:
            views = [(view, tables[view.source]) for view in flights.VIEWS]
            return pl.DataFrame(store.point_in_time_join(rows, views, as_of=as_of))

    made: pl.DataFrame = flights.examples(tables["flights"], Features(), **SOME_DAYS)
    return made


def test_shifting_the_future_changes_nothing_that_was_known(
    flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures
) -> None:
    """Everything that becomes known after the cut is made wild: no flight until the cut may see it."""
    future = pl.col("known_at") > CUT
    landed_later = pl.col("landed_at") > CUT
    changed = tables | {
        "weather_reports": tables["weather_reports"].with_columns(
            pl.when(future).then(pl.col(name) + 1000).otherwise(pl.col(name)).alias(name) for name in flights.WEATHER
        ),
        "landings": tables["landings"].with_columns(
            pl.when(landed_later).then(pl.col("arr_delay") * 100 + 7).otherwise(pl.col("arr_delay")).alias("arr_delay"),
            pl.when(landed_later).then(1 - pl.col("late")).otherwise(pl.col("late")).alias("late"),
        ),
    }
    before, after = examples(flights, tables, store), examples(flights, changed, store)
    known = pl.col("scheduled_departure") <= CUT
    assert before.filter(known).height > 3000
    assert before.filter(known).equals(after.filter(known))
    assert not before.filter(~known).equals(after.filter(~known)), "the change must show once it is known"


def test_a_flight_does_not_see_its_own_landing(
    flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures
) -> None:
    landed = tables["landings"].join(tables["flights"].select("flight_id", "scheduled_departure"), on="flight_id")
    assert landed.filter(pl.col("landed_at") <= pl.col("scheduled_departure")).height == 0


def test_what_is_served_is_what_was_trained_on(
    flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures
) -> None:
    rows = examples(flights, tables, store).sample(200, seed=7)
    for view in flights.VIEWS:
        store.materialize(view, tables[view.source], version="v")
        requests = [
            LookupRequest({key: row[key] for key in view.entity}, row["scheduled_departure"])
            for row in rows.iter_rows(named=True)
        ]
        for row, found in zip(rows.iter_rows(named=True), store.lookup(view.name, requests), strict=True):
            assert dict(found.values) == {feature.name: row[feature.name] for feature in view.features}


def test_the_windowed_delays_are_those_of_the_24_hours_before(
    flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures
) -> None:
    landings = tables["landings"]
    for row in examples(flights, tables, store).sample(25, seed=11).iter_rows(named=True):
        at = row["scheduled_departure"]
        window = landings.filter(
            pl.col("carrier") == row["carrier"],
            pl.col("landed_at") > at - timedelta(hours=24),
            pl.col("landed_at") <= at,
        )
        assert row["carrier_landings_24h"] == window.height
        assert row["carrier_delay_24h"] == pytest.approx(window["arr_delay"].mean())


def test_every_flight_keeps_its_row_in_order(
    flights: ModuleType, tables: dict[str, pl.DataFrame], store: EmbeddedFeatures
) -> None:
    made = examples(flights, tables, store)
    expected = tables["flights"].filter(
        pl.col("late").is_not_null(),
        pl.col("scheduled_departure") >= datetime(2013, 1, 10, tzinfo=UTC),
        pl.col("scheduled_departure") < datetime(2013, 1, 16, tzinfo=UTC),
    )
    assert made["flight_id"].to_list() == expected["flight_id"].to_list()
