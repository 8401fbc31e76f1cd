"""What a monitor took is kept: over restarts, between processes, through failures."""

import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.adapters.monitoring.state import SCHEMA
from stackproof.errors import Conflict, Corrupted, RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import ColumnKind, Finding, Policy
from stackproof.store.store import Store

Draw = Callable[[int, int], pl.DataFrame]
COLUMNS = {"tied": ColumnKind.NUMERIC, "five_even": ColumnKind.CATEGORICAL}
POLICY = Policy(window=100)


def _blobs(home: Path) -> list[Path]:
    return [path for path in (home / "blobs").rglob("*") if path.is_file()]


def _changed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("tied") + 7)


def test_hostile_values_come_back_exactly_after_a_restart(tmp_path: Path) -> None:
    reference = pl.DataFrame({"x": [1.0, 2.0, 3.0] * 50, "c": ["a", "b", "é"] * 50})
    columns = {"x": ColumnKind.NUMERIC, "c": ColumnKind.CATEGORICAL}
    values = [float("inf"), float("-inf"), float("nan"), None, 1e300, 5e-324, 0.1 + 0.2] * 8
    stream = pl.DataFrame(
        {"x": values, "c": ["\x00", "🛫", None, '"', "\n", "a", "b"] * 8}, schema={"x": pl.Float64, "c": pl.String}
    )
    found: list[list[Finding]] = []
    for pieces in ([56], [20, 20, 16]):
        home, start, findings = tmp_path / str(len(pieces)), 0, []
        monitor = EmbeddedMonitoring(Setting(home=home))
        monitor.start("m", reference, columns, POLICY)
        for count in pieces:
            findings += monitor.observe("m", stream[start : start + count])
            start += count
            monitor.close()
            monitor = EmbeddedMonitoring(Setting(home=home))
        monitor.close()
        found.append(findings)
    assert found[0]
    assert found[0] == found[1]


def test_alarms_survive_a_restart(tmp_path: Path, draw: Draw) -> None:
    monitor = EmbeddedMonitoring(Setting(home=tmp_path))
    monitor.start("m", draw(2000, 0), COLUMNS, POLICY)
    assert len(monitor.observe("m", _changed(draw(100, 1)))) == 1
    monitor.close()
    monitor = EmbeddedMonitoring(Setting(home=tmp_path))
    assert monitor.observe("m", _changed(draw(100, 2))) == []
    monitor.close()


def test_two_monitors_on_one_home_see_what_the_other_took(tmp_path: Path, draw: Draw) -> None:
    first, second = (EmbeddedMonitoring(Setting(home=tmp_path)) for _ in range(2))
    first.start("m", draw(2000, 0), COLUMNS, POLICY)
    found = []
    for start in range(0, 100, 10):
        monitor = first if start % 20 else second
        found += monitor.observe("m", _changed(draw(100, 1))[start : start + 10])
    assert first.position("m") == second.position("m") == 100
    assert len(found) == 1
    first.close()
    second.close()


def test_rows_from_many_threads_are_all_counted(monitor: EmbeddedMonitoring, draw: Draw) -> None:
    monitor.start("m", draw(500, 0), COLUMNS, POLICY)
    rows = draw(7, 1)
    threads = [threading.Thread(target=lambda: [monitor.observe("m", rows) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.position("m") == 4 * 10 * 7


def test_rows_observed_in_a_transaction_that_fails_were_not_observed(
    tmp_path: Path, monitor: EmbeddedMonitoring, draw: Draw
) -> None:
    """So that a caller can write its alert and the monitor's progress at once."""
    monitor.start("m", draw(2000, 0), COLUMNS, POLICY)
    store = Store.open(tmp_path / "home", SCHEMA)
    changed = _changed(draw(100, 1))

    def observe_and_fail() -> None:
        with store.database.transaction():
            assert monitor.observe("m", changed)
            raise KeyError("the alert could not be written")

    with pytest.raises(KeyError):
        observe_and_fail()
    assert monitor.position("m") == 0
    assert len(monitor.observe("m", changed)) == 1
    store.close()


def test_only_a_window_of_rows_is_kept(tmp_path: Path, monitor: EmbeddedMonitoring, draw: Draw) -> None:
    monitor.start("m", draw(500, 0), COLUMNS, POLICY)
    for seed in range(30):
        monitor.observe("m", draw(10, seed))
    monitor.observe("m", draw(3000, 1))
    store = Store.open(tmp_path / "home", SCHEMA)
    with store.database.read() as connection:
        (rows,) = connection.execute("SELECT sum(count) FROM watched_rows").fetchone()
    store.close()
    assert rows == POLICY.window


def test_a_replaced_reference_leaves_no_file_behind(tmp_path: Path, monitor: EmbeddedMonitoring, draw: Draw) -> None:
    for name in ("a", "b"):
        monitor.start(name, draw(500, 0), COLUMNS, POLICY)
    assert len(_blobs(tmp_path / "home")) == 1
    monitor.start("a", draw(500, 1), COLUMNS, POLICY)
    assert len(_blobs(tmp_path / "home")) == 2
    monitor.start("b", draw(500, 1), COLUMNS, POLICY)
    assert len(_blobs(tmp_path / "home")) == 1
    monitor.start("b", draw(500, 1), COLUMNS, POLICY)
    assert len(_blobs(tmp_path / "home")) == 1


def test_a_damaged_reference_is_noticed_when_it_is_read_again(tmp_path: Path, draw: Draw) -> None:
    monitor = EmbeddedMonitoring(Setting(home=tmp_path))
    monitor.start("m", draw(500, 0), COLUMNS, POLICY)
    monitor.close()
    (blob,) = _blobs(tmp_path)
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    monitor = EmbeddedMonitoring(Setting(home=tmp_path))
    with pytest.raises(Corrupted):
        monitor.observe("m", draw(10, 1))
    monitor.close()


def test_a_closed_monitor_says_so(tmp_path: Path, draw: Draw) -> None:
    monitor = EmbeddedMonitoring(Setting(home=tmp_path))
    monitor.close()
    with pytest.raises(Conflict, match="closed"):
        monitor.start("m", draw(10, 0), COLUMNS, POLICY)
    assert not monitor.health().ok


def test_a_home_that_is_no_folder_is_a_matter_of_health(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    monitor = EmbeddedMonitoring(Setting(home=tmp_path / "home"))
    health = monitor.health()
    assert not health.ok
    assert health.detail
    monitor.close()


def test_a_monitor_needs_a_column(monitor: EmbeddedMonitoring, draw: Draw) -> None:
    with pytest.raises(RefusedInput, match="column"):
        monitor.start("m", draw(10, 0), {}, POLICY)


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), 1e9])
def test_a_wrong_option_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(RefusedInput, match="webhook_timeout_s"):
        EmbeddedMonitoring(Setting(home=tmp_path, options={"webhook_timeout_s": value}))
