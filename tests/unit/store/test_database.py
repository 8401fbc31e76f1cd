import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Conflict, Corrupted, RefusedInput, StorageFull
from stackproof.store import Database, Schema


def add(text: str) -> Any:
    return lambda connection: connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def write_then_fail(database: Database, write: Any) -> None:
    with database.transaction() as connection:
        write(connection)
        raise ZeroDivisionError


def texts(database: Database) -> list[str]:
    with database.read() as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def test_what_a_transaction_wrote_is_there_when_it_ends(database: Database) -> None:
    with database.transaction() as connection:
        add("a")(connection)
    assert texts(database) == ["a"]


def test_an_exception_rolls_everything_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        write_then_fail(database, add("a"))
    assert texts(database) == []


def test_an_inner_transaction_ends_with_the_outer_one(database: Database) -> None:
    def write(_: sqlite3.Connection) -> None:
        with database.transaction() as connection:
            add("inner")(connection)

    with pytest.raises(ZeroDivisionError):
        write_then_fail(database, write)
    assert texts(database) == []


def test_an_inner_transaction_that_fails_undoes_only_its_own_part(database: Database) -> None:
    with database.transaction() as connection:
        add("outer")(connection)
        with pytest.raises(ZeroDivisionError):
            write_then_fail(database, add("inner"))
        add("after")(connection)
    assert texts(database) == ["outer", "after"]


def test_a_read_keeps_its_state_while_others_write(database: Database) -> None:
    with database.transaction() as connection:
        add("before")(connection)
    with database.read() as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)
        writer = threading.Thread(target=lambda: (database.enqueue(add("meanwhile")), database.flush()))
        writer.start()
        writer.join()
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)
    assert texts(database) == ["before", "meanwhile"]


def test_a_read_inside_a_transaction_sees_its_own_writes(database: Database) -> None:
    with database.transaction() as connection:
        add("mine")(connection)
        assert texts(database) == ["mine"]


def test_a_read_refuses_to_write(database: Database) -> None:
    with pytest.raises(Exception, match="readonly"), database.read() as connection:
        add("a")(connection)
    assert texts(database) == []


def test_enqueued_writes_are_committed_in_order(database: Database) -> None:
    for number in range(2_500):
        database.enqueue(add(str(number)))
    database.flush()
    assert texts(database) == [str(number) for number in range(2_500)]


def test_done_is_called_once_the_write_can_be_read(database: Database) -> None:
    seen: list[tuple[BaseException | None, list[str]]] = []
    database.enqueue(add("a"), lambda error: seen.append((error, texts(database))))
    for _ in range(200):
        if seen:
            break
        threading.Event().wait(0.01)
    assert seen == [(None, ["a"])]


def test_a_failing_write_harms_no_other_in_its_batch(database: Database) -> None:
    told: dict[str, BaseException | None] = {}
    with database.transaction() as connection:
        add("twice")(connection)
    with ThreadPoolExecutor(1) as pool, database.transaction():  # the lock is held: all queue up to one batch
        for text in ("one", "twice", "two"):
            pool.submit(database.enqueue, add(text), lambda error, text=text: told.update({text: error})).result()  # type: ignore[misc]
    database.flush()
    database.close()
    assert isinstance(told["twice"], sqlite3.IntegrityError)
    assert (told["one"], told["two"]) == (None, None)
    reopened = Database.open(database.path)
    assert texts(reopened) == ["twice", "one", "two"]
    reopened.close()


def test_an_error_that_nobody_waits_for_is_raised_by_the_next_flush_once(database: Database) -> None:
    database.enqueue(add("a"))
    database.enqueue(add("a"))
    with pytest.raises(sqlite3.IntegrityError):
        database.flush()
    database.flush()
    assert texts(database) == ["a"]


def test_each_thread_is_told_of_an_error_before_its_flush_returns(database: Database) -> None:
    database.enqueue(add("a"))
    database.enqueue(add("a"))
    with pytest.raises(sqlite3.IntegrityError):
        database.flush()
    with ThreadPoolExecutor(1) as pool, pytest.raises(sqlite3.IntegrityError):
        pool.submit(database.flush).result()


def test_a_transaction_sees_what_was_enqueued_before_it(database: Database) -> None:
    for number in range(50):
        database.enqueue(add(f"enqueued {number}"))
        with database.transaction() as connection:
            add(f"transaction {number}")(connection)
    expected = [f"{how} {number}" for number in range(50) for how in ("enqueued", "transaction")]
    assert texts(database) == expected


def test_a_write_enqueued_inside_a_transaction_joins_it(database: Database) -> None:
    told: list[BaseException | None] = []
    with database.transaction() as connection:
        database.enqueue(add("joined"), told.append)
        database.enqueue(add("joined"), told.append)
        database.flush()
        assert told == []
        assert connection.execute("SELECT text FROM notes").fetchall() == [("joined",)]
    assert told[0] is None
    assert isinstance(told[1], sqlite3.IntegrityError)
    with pytest.raises(ZeroDivisionError):
        write_then_fail(database, lambda _: database.enqueue(add("lost"), told.append))
    assert isinstance(told[2], ZeroDivisionError)
    assert texts(database) == ["joined"]


def test_a_callback_that_raises_stops_nobody(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: BaseException | None) -> None:
        raise ZeroDivisionError

    database.enqueue(add("a"), broken)
    database.enqueue(add("b"))
    database.flush()
    database.enqueue(add("c"))
    database.flush()
    assert texts(database) == ["a", "b", "c"]
    assert "callback" in caplog.text


def test_a_callback_that_would_wait_for_itself_is_refused(database: Database) -> None:
    found: list[Exception] = []

    def waits(_: BaseException | None) -> None:
        database.enqueue(add("b"))
        try:
            database.flush()
        except Conflict as conflict:
            found.append(conflict)

    database.enqueue(add("a"), waits)
    database.flush()
    with database.transaction():
        pass
    assert len(found) == 1


def test_no_room_left_is_told_and_kept_writes_are_written_once_there_is_room(database: Database) -> None:
    told: list[BaseException | None] = []
    with database.transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(StorageFull), database.transaction() as connection:
        add("x" * 100_000)(connection)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction():  # the lock is held: both queue up to one batch
            pool.submit(database.enqueue, add("y" * 100_000), told.append).result()
            pool.submit(database.enqueue, add("kept " + "z" * 100_000)).result()
        with pytest.raises(StorageFull):
            pool.submit(database.flush).result()
    assert isinstance(told[0], StorageFull)
    assert texts(database) == []
    database._writer.execute("PRAGMA max_page_count=1000000")
    database.flush()
    assert [text[:5] for text in texts(database)] == ["kept "]


def test_threads_write_one_after_the_other(database: Database) -> None:
    with database.transaction() as connection:
        add("0")(connection)

    def count() -> None:
        for _ in range(20):
            with database.transaction() as connection:
                (text,) = connection.execute("SELECT text FROM notes").fetchone()
                connection.execute("UPDATE notes SET text = ?", (str(int(text) + 1),))

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(count) for _ in range(8)]:
            future.result()
    assert texts(database) == ["160"]


def test_one_file_has_one_instance_that_lives_until_its_last_user_closes(tmp_path: Path, notes: Schema) -> None:
    first = Database.open(tmp_path / "x.db", notes)
    second = Database.open(tmp_path / "folder" / ".." / "x.db")
    assert first is second
    first.close()
    with second.transaction() as connection:
        add("a")(connection)
    second.close()
    with pytest.raises(Conflict, match="closed"), second.read():
        pass
    with pytest.raises(Conflict, match="closed"):
        second.enqueue(add("b"))


def test_closing_writes_what_was_accepted_and_folds_in_the_log(tmp_path: Path, notes: Schema) -> None:
    database = Database.open(tmp_path / "x.db", notes)
    database.enqueue(add("accepted"))
    database.close()
    assert not (tmp_path / "x.db-wal").exists()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("accepted",)]
    connection.close()


def test_commits_are_synced_and_foreign_keys_hold(database: Database) -> None:
    for opened in (database.transaction, database.read):
        with opened() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_the_log_is_folded_in_while_writing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackproof.store.database.CHECKPOINT_EVERY_BYTES", 100_000)
    for number in range(40):
        with database.transaction() as connection:
            add(f"{number}" + "x" * 50_000)(connection)
    assert database.path.stat().st_size > 1_000_000
    assert len(texts(database)) == 40


def test_migrations_run_once_each_and_in_order(tmp_path: Path) -> None:
    first = "CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('a;b'); -- a comment; with a semicolon\n"
    second = "ALTER TABLE t ADD COLUMN y TEXT; UPDATE t SET y = x;"
    database = Database.open(tmp_path / "x.db", Schema("t", (first,)))
    database.close()
    for _ in range(2):
        database = Database.open(tmp_path / "x.db", Schema("t", (first, second)))
        with database.read() as connection:
            assert connection.execute("SELECT * FROM t").fetchall() == [("a;b", "a;b")]
        database.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    good, bad = "CREATE TABLE t (x TEXT)", "CREATE TABLE u (x TEXT); INSERT INTO nowhere VALUES (1)"
    Database.open(tmp_path / "x.db", Schema("t", (good,))).close()
    with pytest.raises(sqlite3.OperationalError):
        Database.open(tmp_path / "x.db", Schema("t", (good, bad)))
    database = Database.open(tmp_path / "x.db", Schema("t", (good,)))
    with database.read() as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    database.close()
    assert tables == {"schema_versions", "t"}


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    Database.open(tmp_path / "x.db", Schema("t", ("CREATE TABLE t (x)", "CREATE TABLE u (x)"))).close()
    with pytest.raises(RefusedInput, match="later version"):
        Database.open(tmp_path / "x.db", Schema("t", ("CREATE TABLE t (x)",)))


def test_a_file_that_is_no_database_is_reported_as_corrupted(tmp_path: Path, notes: Schema) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database, but it is long enough to look at" * 100)
    with pytest.raises(Corrupted, match=r"x\.db"):
        Database.open(tmp_path / "x.db", notes)
