"""Faults: a killed writer, another process that writes, and damaged files."""

import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.errors import Corrupted, NotFound
from stackproof.roles.adapter import Setting
from stackproof.roles.features import Feature, FeatureView, LookupRequest
from stackproof.testing.features_reference import hours

VIEW = FeatureView("v", "s", ("key",), "known_at", (Feature("f", "x"),))
KEYS = [f"k{n}" for n in range(200)]
REQUESTS = [LookupRequest({"key": key}) for key in KEYS]
WRITER = """
import sys
from pathlib import Path
import polars as pl
from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting
from stackproof.roles.features import Feature, FeatureView
from stackproof.testing.features_reference import hours

home, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
view = FeatureView("v", "s", ("key",), "known_at", (Feature("f", "x"),))
writer = EmbeddedFeatures(Setting(home=home))
for n in range(first, last):
    keys = [f"k{i}" for i in range(200)]
    table = pl.DataFrame({"key": keys, "known_at": [hours(0)] * 200, "x": [n] * 200})
    writer.materialize(view, table, version=str(n))
    print(n, flush=True)
"""


def table_of(number: int) -> pl.DataFrame:
    return pl.DataFrame({"key": KEYS, "known_at": [hours(0)] * len(KEYS), "x": [number] * len(KEYS)})


def start_writer(home: Path, first: int, last: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), str(first), str(last)], stdout=subprocess.PIPE, text=True
    )


def read_all(features: EmbeddedFeatures) -> int:
    """The number that every row holds."""
    rows = features.lookup("v", REQUESTS)
    numbers = {(row.values["f"], row.version) for row in rows}
    assert len(numbers) == 1, "rows of two materializations were mixed"
    ((number, version),) = numbers
    assert version == str(number)
    assert isinstance(number, int)
    return number


def kill_while_writing(home: Path, first: int, delay_s: float) -> int:
    """The last number that the writer acknowledged."""
    with start_writer(home, first, first + 10_000) as writer:
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline())
        time.sleep(delay_s)
        writer.kill()
        return max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])


def check_kills(home: Path, kills: int, seed: int) -> None:
    draw, last = random.Random(seed), 0
    for _ in range(kills):
        acknowledged = kill_while_writing(home, last + 1, draw.uniform(0, 0.05))
        features = EmbeddedFeatures(Setting(home=home))
        last = read_all(features)
        assert last in (acknowledged, acknowledged + 1)
        assert [found.version for found in features.materialized()] == [str(last)]
        features.close()


def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=4, seed=1)


@pytest.mark.slow
def test_many_killed_writers_leave_the_old_or_the_new(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=60, seed=2)


def test_a_reader_sees_each_materialization_of_another_process_whole(
    features: EmbeddedFeatures, tmp_path: Path
) -> None:
    features.materialize(VIEW, table_of(0), version="0")
    seen = [read_all(features)]
    with start_writer(tmp_path, 1, 40) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            seen.append(read_all(features))
            assert seen[-1] >= int(line), "a materialization that was acknowledged was not seen"
    assert seen == sorted(seen)
    assert read_all(features) == 39


def stored_files(home: Path) -> list[Path]:
    return [path for path in (home / "features").rglob("*") if path.is_file()]


def test_what_was_replaced_is_deleted(features: EmbeddedFeatures, tmp_path: Path) -> None:
    for number in range(5):
        features.materialize(VIEW, table_of(number), version=str(number))
    assert len(stored_files(tmp_path)) == 1


def test_a_file_that_two_views_share_stays_while_one_needs_it(features: EmbeddedFeatures) -> None:
    twin = FeatureView("twin", "s", ("key",), "known_at", (Feature("f", "x"),))
    features.materialize(VIEW, table_of(1), version="1")
    features.materialize(twin, table_of(1), version="1")
    features.materialize(twin, table_of(2), version="2")
    assert read_all(features) == 1


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:]]
)
def test_a_damaged_file_is_reported_and_materializing_again_mends_it(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    writer = EmbeddedFeatures(Setting(home=tmp_path))
    writer.materialize(VIEW, table_of(1), version="1")
    writer.close()
    (file,) = stored_files(tmp_path)
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(damage(data))
    reader = EmbeddedFeatures(Setting(home=tmp_path))
    with pytest.raises(Corrupted, match="'v' is damaged"):
        read_all(reader)
    reader.materialize(VIEW, table_of(1), version="1")
    assert read_all(reader) == 1
    reader.close()


def test_a_file_that_is_gone_is_reported(features: EmbeddedFeatures, tmp_path: Path) -> None:
    features.materialize(VIEW, table_of(1), version="1")
    (file,) = stored_files(tmp_path)
    file.unlink()
    with pytest.raises(Corrupted, match=r"stackproof features v$"):
        features.lookup("v", REQUESTS)


def test_a_never_materialized_view_names_those_that_were(features: EmbeddedFeatures) -> None:
    features.materialize(VIEW, table_of(1), version="1")
    with pytest.raises(NotFound, match="Allowed: v"):
        features.lookup("w", REQUESTS)


def test_without_an_instant_a_lookup_answers_as_of_the_watermark(features: EmbeddedFeatures) -> None:
    view = FeatureView("aged", "s", ("key",), "known_at", (Feature("f", "x"),), max_age=hours(2) - hours(0))
    source = pl.DataFrame({"key": ["old", "new", "edge"], "known_at": [hours(0), hours(5), hours(3)], "x": [1, 2, 3]})
    features.materialize(view, source, version="1")
    found = features.lookup("aged", [LookupRequest({"key": key}) for key in ("old", "new", "edge")])
    assert [row.values["f"] for row in found] == [None, 2, 3]
    assert [row.known_at for row in found] == [None, hours(5), hours(3)]
