import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.errors import Corrupted, RefusedInput, StorageFailed, StorageFull, Unavailable
from stackproof.store import identifiers as identifiers_module
from stackproof.store import new_id, write_durably
from stackproof.store.failures import of_file_system, of_sqlite
from stackproof.store.instants import from_us, to_us

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_file_is_written_whole_and_replaces_the_older_one(tmp_path: Path) -> None:
    write_durably(tmp_path / "file", b"one")
    write_durably(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageFailed):
        write_durably(tmp_path / "file", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_identifier_says_its_kind_and_its_time() -> None:
    identifier = new_id("run", now=NOON, random=lambda count: b"\xff" * count)
    kind, _, ulid = identifier.partition(":")
    assert (kind, len(ulid)) == ("run", 26)
    assert identifier < new_id("run", now=NOON + timedelta(milliseconds=1), random=bytes)
    assert set(ulid) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_identifiers_grow_across_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id("run") for _ in range(500)], range(8)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({identifier for batch in batches for identifier in batch}) == 4_000


def test_identifiers_grow_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Backwards(datetime):
        ticks = iter(range(100))

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # only called with UTC
            return datetime(2100, 1, 1, tzinfo=UTC) - timedelta(days=next(cls.ticks))

    monkeypatch.setattr(identifiers_module, "datetime", Backwards)
    monkeypatch.setattr(identifiers_module, "_BY_CLOCK", identifiers_module._Sequence())
    made = [new_id("run") for _ in range(100)]
    assert made == sorted(made)
    assert len(set(made)) == 100


def test_identifiers_of_one_given_instant_grow() -> None:
    made = [new_id("prediction", now=NOON, random=lambda count: b"\xff" * count) for _ in range(100)]
    assert made == sorted(made)
    assert len({identifier[:21] for identifier in made}) == 1


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_an_instant_comes_back_exact(instant: datetime) -> None:
    assert from_us(to_us(instant)) == instant


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(RefusedInput, match="time zone"):
        to_us(NOON.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed),
        (sqlite3.SQLITE_READONLY, StorageFailed),
        (sqlite3.SQLITE_CORRUPT, Corrupted),
        (sqlite3.SQLITE_NOTADB, Corrupted),
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, None),
        (sqlite3.SQLITE_ERROR, None),
    ],
)
def test_each_error_of_sqlite_has_one_of_ours_or_is_the_callers(code: int, kind: type | None) -> None:
    error = sqlite3.OperationalError("message")
    error.sqlite_errorcode = code
    mapped = of_sqlite(error, Path("x.db"))
    assert (None if mapped is None else type(mapped)) is kind


def test_a_full_disk_and_a_failing_one_are_told_apart() -> None:
    assert type(of_file_system(OSError(28, "No space left on device"), Path("x"))) is StorageFull
    assert type(of_file_system(OSError(5, "Input/output error"), Path("x"))) is StorageFailed
