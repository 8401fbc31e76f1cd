"""Feast, in an environment of its own, keeps the contract of features, and its own users find what was written."""

import json
import math
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.adapters.features.feast import FeastFeatures
from stackproof.errors import Corrupted, NotFound, RefusedInput, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.features import Aggregate, Feature, FeatureView, LookupRequest
from stackproof.testing.features import HOUR, WEATHER, OnlineConformance, WindowConformance, hours, observations

pytestmark = pytest.mark.tools
ROLE, TOOL = "features", "feast"
UP_WITHIN_S = 30
DELAYS = FeatureView(
    "delays",
    "landings",
    ("carrier",),
    "landed_at",
    tuple(Feature(f"{aggregate}_delay", "delay", aggregate) for aggregate in Aggregate),
    window=24 * HOUR,
)
READ_BACK = """
import json, sys
from datetime import datetime, timedelta, timezone
import pandas
from feast import FeatureStore

store = FeatureStore(repo_path=sys.argv[1])
views = {view.name: view for view in store.list_feature_views()}
weather = views["weather"]
start = datetime(2024, 1, 1, tzinfo=timezone.utc)
asked = pandas.DataFrame({
    "origin": ["JFK", "JFK", "LGA"],
    "event_timestamp": [start + timedelta(hours=h) for h in (1, 3, 9)],
})
past = store.get_historical_features(asked, ["weather:temp"]).to_df().sort_values("event_timestamp")
now = store.get_online_features(["weather:temp", "recent_sum:sum_x"], [{"origin": "JFK", "key": "a"}]).to_dict()
print(json.dumps({
    "views": sorted(views),
    "entities": {entity.name: entity.value_type.name for entity in store.list_entities()},
    "fields": {field.name: str(field.dtype) for field in weather.schema},
    "tags": {name: weather.tags[name] for name in ("version", "rows", "watermark")},
    "ttl": str(weather.ttl),
    "until": weather.most_recent_end_time.isoformat(),
    "versions": [kept["version"] for kept in store.list_feature_view_versions("weather")],
    "past": past["temp"].tolist(),
    "now": now,
}))
"""


@contextmanager
def redis_server(folder: Path, port: int = 0) -> Iterator[int]:
    """A real Redis on a free loopback port, which forgets all when it ends."""
    command = shutil.which("redis-server")
    if command is None:
        pytest.skip("redis-server is not installed")
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "log").open("ab") as log, subprocess.Popen([command, *arguments], stdout=log, stderr=log) as server:
        until = time.monotonic() + UP_WITHIN_S
        while not answers(port):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.05)
        yield port
        server.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


# The contract


@pytest.mark.usefixtures("in_its_own_environment")
class TestFeastJoins(WindowConformance):
    """One child serves all of these, which share nothing: Feast takes seconds to import."""

    deviations = FeastFeatures.deviations

    @pytest.fixture
    def adapter(self, shared: Any) -> Any:
        return shared


@pytest.mark.usefixtures("in_its_own_environment")
class TestFeastLookups(OnlineConformance):
    deviations = FeastFeatures.deviations


@pytest.mark.services
@pytest.mark.usefixtures("in_its_own_environment")
class TestFeastLookupsOnRedis(OnlineConformance):
    """All homes share one server and one project name: what an earlier one left there is no longer found."""

    deviations = FeastFeatures.deviations

    @pytest.fixture
    def usual_options(self, redis_port: int) -> Mapping[str, object]:
        return {"online_store": "redis", "connection_string": f"127.0.0.1:{redis_port}"}


# Beside the embedded adapter


def landings(count: int) -> pl.DataFrame:
    draw = random.Random(1)
    return pl.DataFrame(
        {
            "carrier": [draw.choice(["AA", "B6", "DL", "é", None]) for _ in range(count)],
            "landed_at": [hours(draw.randrange(24 * 60) / 60) for _ in range(count)],
            "delay": [draw.choice([None, math.nan, draw.gauss(0, 30), 1e15]) for _ in range(count)],
        }
    )


def departures(count: int) -> pl.DataFrame:
    draw = random.Random(2)
    return pl.DataFrame(
        {
            "carrier": [draw.choice(["AA", "B6", "DL", "é", None, "XX"]) for _ in range(count)],
            "departs": [draw.choice([None, hours(draw.randrange(60 * 60) / 60)]) for _ in range(count)],
        }
    )


def test_a_join_with_repeated_rows_equals_that_of_the_embedded_adapter_to_the_last_bit(
    shared: Any, tmp_path: Path
) -> None:
    latest = FeatureView("latest", "landings", ("carrier",), "landed_at", (Feature("delay", "delay"),), max_age=HOUR)
    views = [(DELAYS, landings(3000)), (latest, landings(3000))]
    rows = pl.concat([departures(2000), departures(2000).reverse()])
    embedded = EmbeddedFeatures(Setting(tmp_path))
    expected = embedded.point_in_time_join(rows, views, as_of="departs")
    assert_frame_equal(
        pl.DataFrame(shared.point_in_time_join(rows, views, as_of="departs")), expected, check_exact=True
    )
    embedded.close()


def test_a_history_longer_than_a_stretch_with_several_keys_is_found_as_the_embedded_adapter_does(
    shared: Any, tmp_path: Path
) -> None:
    draw = random.Random(3)
    source = pl.DataFrame(
        {
            "origin": [draw.choice("cab") for _ in range(900)],
            "number": [draw.choice([7, -1, 2**40]) for _ in range(900)],
            "known_at": [hours(draw.randrange(400) / 4) for _ in range(900)],
            "x": range(900),
        }
    )
    rows = pl.DataFrame(
        {
            "number": [draw.choice([7, -1, 2**40, 3]) for _ in range(500)],
            "origin": [draw.choice("abcd") for _ in range(500)],
            "departs": [hours(draw.randrange(500) / 4) for _ in range(500)],
        }
    )
    view = FeatureView("pair", "s", ("origin", "number"), "known_at", (Feature("x", "x"),))
    embedded = EmbeddedFeatures(Setting(tmp_path))
    expected = embedded.point_in_time_join(rows, [(view, source)], as_of="departs")
    found = pl.DataFrame(shared.point_in_time_join(rows, [(view, source)], as_of="departs"))
    assert_frame_equal(found, expected)
    assert found.get_column("x").null_count() < found.height
    embedded.close()


@pytest.mark.parametrize("max_age", [timedelta(0), timedelta(microseconds=1), timedelta(days=400, microseconds=1)])
def test_a_max_age_is_kept_to_the_microsecond(shared: Any, max_age: timedelta) -> None:
    view = FeatureView("w", "o", ("origin",), "known_at", (Feature("temp", "temp"),), max_age=max_age)
    instants = [hours(0) + max_age + timedelta(microseconds=late) for late in (0, 1)]
    rows = pl.DataFrame({"origin": ["JFK"] * 2, "departs": instants})
    joined = pl.DataFrame(shared.point_in_time_join(rows, [(view, observations(("JFK", 0, 1.0)))], as_of="departs"))
    assert joined.get_column("temp").to_list() == [1.0, None]


def test_the_type_of_a_feature_stays_what_it_was(shared: Any) -> None:
    source = pl.DataFrame(
        {
            "key": [True, False],
            "known_at": [hours(0)] * 2,
            "small": pl.Series([1, None], dtype=pl.Int8),
            "single": pl.Series([0.1, None], dtype=pl.Float32),
            "kind": pl.Series(["é", None], dtype=pl.Categorical),
            "day": pl.Series([hours(0).date(), None]),
            "at": pl.Series([hours(0), None]),
            "gap": [None, None],
            "exact": pl.Series(["1.10", None]).cast(pl.Decimal(10, 2)),
            "large": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
        }
    )
    features = tuple(Feature(name, name) for name in source.columns[2:])
    view = FeatureView("kinds", "s", ("key",), "known_at", features)
    rows = pl.DataFrame({"key": [False, True], "departs": [hours(1)] * 2})
    joined = pl.DataFrame(shared.point_in_time_join(rows, [(view, source)], as_of="departs"))
    expected = source.select(source.columns[2:]).reverse()
    assert_frame_equal(joined.select(source.columns[2:]), expected, categorical_as_str=True)


# What Feast's own users find


@pytest.fixture(scope="module")
def repository(made_to_last: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """An adapter that has materialized two views, and its repository."""
    home = tmp_path_factory.mktemp("home")
    adapter = made_to_last(home)
    weather = FeatureView("weather", "o", ("origin",), "known_at", (Feature("temp", "temp"),), max_age=3 * HOUR)
    adapter.materialize(weather, observations(("JFK", 0, 1.0)), version="v0")
    adapter.materialize(weather, observations(("JFK", 0, 1.0), ("JFK", 2, 2.0), ("LGA", 1, 9.0)), version="v1")
    recent = FeatureView("recent_sum", "e", ("key",), "known_at", (Feature("sum_x", "x", Aggregate.SUM),), 3 * HOUR)
    source = pl.DataFrame({"key": ["a", "a", "a"], "known_at": [hours(0), hours(2), hours(4)], "x": [1, 2, 4]})
    adapter.materialize(recent, source, version="é")
    return adapter, home / "feast"


def test_feasts_own_client_reads_what_was_materialized(repository: tuple[Any, Path], python: Path) -> None:
    _, folder = repository
    done = subprocess.run([str(python), "-c", READ_BACK, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["views"] == ["recent_sum", "weather"]
    assert found["entities"] == {"origin": "STRING", "key": "STRING"}
    assert found["fields"] == {"origin": "String", "temp": "Float64", "known_at_us": "Int64"}
    assert found["tags"] == {"version": "v1", "rows": "3", "watermark": hours(2).isoformat()}
    assert (found["ttl"], found["until"]) == ("3:00:00", hours(2).isoformat())
    assert found["versions"] == ["v2"]
    assert found["past"][:2] == [1.0, 2.0]
    assert math.isnan(found["past"][2])
    assert found["now"] == {"origin": ["JFK"], "key": ["a"], "temp": [2.0], "sum_x": [6]}


def test_feasts_own_command_line_lists_the_views_and_its_apply_keeps_them(
    repository: tuple[Any, Path], python: Path
) -> None:
    adapter, folder = repository
    feast = str(python.with_name("feast"))
    for arguments in (["apply"], ["feature-views", "list"]):
        done = subprocess.run([feast, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert sorted(listed) == ["recent_sum", "weather"]
    assert [made.version for made in adapter.materialized()] == ["é", "v1"]
    assert adapter.lookup("weather", [LookupRequest({"origin": "JFK"})])[0].values == {"temp": 2.0}


def test_a_link_leads_to_the_page_of_a_view_in_feasts_own_ui(repository: tuple[Any, Path], python: Path) -> None:
    adapter, folder = repository
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        spec = FeastFeatures.server(Setting(folder.parent), python).at(free.getsockname()[1])
    log = (folder.parent / "ui.log").open("wb")
    with log, subprocess.Popen(spec.arguments, cwd=spec.folder, stdout=log, stderr=log) as ui:
        try:
            until = time.monotonic() + spec.start_s
            while not answers(spec.port):
                assert ui.poll() is None, (folder.parent / "ui.log").read_text()
                assert time.monotonic() < until, (folder.parent / "ui.log").read_text()
                time.sleep(0.2)
            read(spec.health)
            assert "Feast" in read(adapter.link("features:weather@0123456789ab", spec.url))
            listed = json.loads(read(f"{spec.url}/api/v1/feature_views?project=stackproof"))
        finally:
            ui.terminate()
    assert {view["spec"]["name"] for view in listed["featureViews"]} == {"weather", "recent_sum"}
    assert adapter.link("features:weather@0123456789ab", "http://ui") == "http://ui/p/stackproof/feature-view/weather"
    assert adapter.link("features:weather@0123456789ab", "") == ""


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def test_what_a_newer_materialization_replaced_is_deleted(repository: tuple[Any, Path], python: Path) -> None:
    _, folder = repository
    assert sorted(path.name for path in (folder / "materialized").iterdir()) == [
        "recent_sum-v3.parquet",
        "weather-v2.parquet",
    ]
    assert online_tables(folder) == ["stackproof_recent_sum_v3", "stackproof_weather_v2"]
    assert not [path for path in folder.iterdir() if path.name.startswith("registry.") and path.name != "registry.db"]


def online_tables(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "online.db")) as database:
        return sorted(name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


# What could go wrong


def test_nan_and_large_numbers_beside_missing_ones_are_served_as_they_are(shared: Any) -> None:
    view = FeatureView("exact", "s", ("key",), "known_at", (Feature("real", "real"), Feature("whole", "whole")))
    source = pl.DataFrame(
        {
            "key": [1, 2, 3],
            "known_at": [hours(0)] * 3,
            "real": [math.nan, None, 0.1],
            "whole": [2**60 + 1, None, -(2**63)],
        }
    )
    shared.materialize(view, source, version="v")
    for at in (None, hours(0)):
        found = [row.values for row in shared.lookup("exact", [LookupRequest({"key": n}, at) for n in (1, 2, 3)])]
        assert math.isnan(found[0]["real"])
        assert found[0]["whole"] == 2**60 + 1
        assert found[1:] == [{"real": None, "whole": None}, {"real": 0.1, "whole": -(2**63)}]


def test_keys_may_be_truth_values_and_no_number_is_one(shared: Any) -> None:
    view = FeatureView("yes", "s", ("key",), "known_at", (Feature("x", "x"),))
    source = pl.DataFrame({"key": [True, False], "known_at": [hours(0), hours(1)], "x": ["t", "f"]})
    shared.materialize(view, source, version="v")
    asked = [LookupRequest({"key": False}), LookupRequest({"key": True}), LookupRequest({"key": True}, hours(0.5))]
    assert [row.values["x"] for row in shared.lookup("yes", asked)] == ["f", "t", "t"]
    with pytest.raises(RefusedInput, match="boolean"):
        shared.lookup("yes", [LookupRequest({"key": 1})])


def test_names_and_types_that_feast_cannot_keep_are_refused_and_change_nothing(shared: Any) -> None:
    before = shared.materialized()
    source = observations(("JFK", 0, 1.0)).with_columns(parts=pl.lit([1, 2]), Temp=pl.lit(1))
    for name, columns in [
        ("a:b", ["temp"]),
        ("a@v1", ["temp"]),
        ("a", ["temp", "Temp"]),
        ("a", ["origin"]),
        ("a", ["parts"]),
    ]:
        view = FeatureView(name, "o", ("origin",), "known_at", tuple(Feature(column, column) for column in columns))
        with pytest.raises(RefusedInput):
            shared.materialize(view, source, version="v")
    assert shared.materialized() == before


def test_two_views_may_give_one_key_column_different_types(shared: Any) -> None:
    for name, keys in (("texts", ["1", "2"]), ("numbers", [1, 2])):
        view = FeatureView(name, "s", ("key",), "known_at", (Feature("x", "x"),))
        shared.materialize(view, pl.DataFrame({"key": keys, "known_at": [hours(0)] * 2, "x": [10, 20]}), version="v")
    assert shared.lookup("texts", [LookupRequest({"key": "2"})])[0].values == {"x": 20}
    assert shared.lookup("numbers", [LookupRequest({"key": 2})])[0].values == {"x": 20}


def test_a_child_killed_while_it_materializes_begins_anew_and_readers_see_the_old_rows_until_then(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    victim, other = made(tmp_path), made(tmp_path)
    jfk = [LookupRequest({"origin": "JFK"})]
    victim.materialize(WEATHER, observations(("JFK", 0, 1.0)), version="v1")
    other.lookup("weather", jfk)
    seen: list[Any] = []

    def kill() -> None:
        while not (tmp_path / "feast" / "registry.next.db").exists():
            time.sleep(0.001)
        os.kill(victim.bridge.pid, signal.SIGKILL)
        seen.append((tmp_path / "feast" / "registry.next.db").exists())
        seen.extend(other.lookup("weather", jfk))

    killer = threading.Thread(target=kill)
    killer.start()
    many = observations(*((f"o{n}", 0, 2.0) for n in range(20_000)), ("JFK", 0, 2.0))
    victim.materialize(WEATHER, many, version="v2")
    killer.join()
    interrupted, old = seen
    assert interrupted
    assert (old.values, old.version) == ({"temp": 1.0}, "v1")
    assert [row.values["temp"] for row in other.lookup("weather", [*jfk, LookupRequest({"origin": "o19999"})])] == [
        2,
        2,
    ]
    assert online_tables(tmp_path / "feast") == ["stackproof_weather_v2"]
    assert [path.name for path in (tmp_path / "feast" / "materialized").iterdir()] == ["weather-v2.parquet"]


def test_half_a_registry_that_a_crash_left_hinders_nothing_and_a_damaged_one_is_told(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    (tmp_path / "feast").mkdir()
    (tmp_path / "feast" / "registry.next.db").write_bytes(b"\x0a\xff")
    adapter.materialize(WEATHER, observations(("JFK", 0, 1.0)), version="v1")
    assert adapter.lookup("weather", [LookupRequest({"origin": "JFK"})])[0].values == {"temp": 1.0}
    (tmp_path / "feast" / "registry.db").write_bytes(b"\x0a\xff")
    with pytest.raises(Corrupted, match="registry"):
        adapter.lookup("weather", [LookupRequest({"origin": "JFK"})])
    assert not adapter.health().ok


@pytest.mark.parametrize(
    "options",
    [
        {"online_store": "dynamodb"},
        {"online_store": "redis"},
        {"connection_string": "localhost:6379"},
        {"online_store": "redis", "connection_string": "localhost"},
        {"project": "a b"},
        {"offline": "dask"},
    ],
)
def test_options_that_cannot_be_followed_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(RefusedInput):
        FeastFeatures(Setting(tmp_path, options))


@pytest.mark.services
def test_a_redis_that_forgot_everything_or_is_gone_is_told(made: Callable[..., Any], tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "redis"
    home.mkdir()
    folder.mkdir()
    asked = [LookupRequest({"origin": "JFK"}), LookupRequest({"origin": "LGA"})]
    with redis_server(folder) as port:
        adapter = made(home, online_store="redis", connection_string=f"127.0.0.1:{port},socket_timeout=5")
        adapter.materialize(WEATHER, observations(("JFK", 0, 1.0)), version="v1")
        assert [row.values["temp"] for row in adapter.lookup("weather", asked)] == [1.0, None]
    with pytest.raises(Unavailable, match="Redis"):
        adapter.lookup("weather", asked)
    assert not adapter.health().ok
    with redis_server(folder, port):
        with pytest.raises(NotFound, match="no longer has the rows"):
            adapter.lookup("weather", asked)
        adapter.materialize(WEATHER, observations(("JFK", 0, 2.0)), version="v2")
        assert adapter.lookup("weather", asked)[0].values == {"temp": 2.0}
        assert adapter.health().ok


@pytest.mark.services
def test_a_password_stays_out_of_the_repository(made: Callable[..., Any], tmp_path: Path, redis_port: int) -> None:
    address = f"127.0.0.1:{redis_port},password=s3cret,db=1"
    adapter = made(tmp_path, online_store="redis", connection_string=address)
    adapter.health()
    settings = (tmp_path / "feast" / "feature_store.yaml").read_text()
    assert f'connection_string: "127.0.0.1:{redis_port},password=${{REDIS_PASSWORD}},db=1"' in settings
    assert "s3cret" not in settings
