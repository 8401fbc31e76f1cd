"""Tampering through plain SQLite, as somebody with access to the file would do it."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stackproof.ledger import ChainReport, Entity, Ledger, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, make_prediction: Callable[..., LoggedPrediction]) -> Path:
    """A ledger of nine batches: six of records, two of predictions, one of outcomes."""
    store = Store.open(tmp_path / "tampered")
    ledger = Ledger(store, clock=lambda: NOON)
    for number in range(5):
        ledger.record(Entity(f"run:{number}", "run", NOON, {"auc": 0.5 + number / 10, "name": f"run {number}"}))
    ledger.record(Entity("data:1", "data", NOON), Link("run:1", Relation.USED, "data:1"))
    for _ in range(2):
        ledger.predictions.append([make_prediction() for _ in range(3)], lambda error: None)
    with store.database.transaction():
        ids = [prediction.id for _, prediction in ledger.predictions.after(0)]
        ledger.predictions.record_outcomes(dict.fromkeys(ids[:3], 1.0), NOON)
    store.close()
    return tmp_path / "tampered"


def tamper(home: Path, *statements: str) -> int:
    connection = sqlite3.connect(home / "stackproof.db")
    changed = sum(connection.execute(statement).rowcount for statement in statements)
    connection.commit()
    connection.close()
    return changed


def verify(home: Path, witnessed: str | None = None) -> ChainReport:
    store = Store.open(home)
    try:
        return Ledger(store).verify(witnessed=witnessed)
    finally:
        store.close()


def head(home: Path) -> str:
    store = Store.open(home)
    try:
        return Ledger(store).head()
    finally:
        store.close()


def test_an_untouched_ledger_is_whole(home: Path) -> None:
    assert verify(home) == ChainReport(True, 9, None, "9 batches, every row as it was written")
    assert verify(home, head(home)).ok


def test_an_empty_ledger_is_whole(ledger: Ledger) -> None:
    assert ledger.verify() == ChainReport(True, 0, None, "0 batches, every row as it was written")
    assert ledger.verify(witnessed=ledger.head()).ok


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE ledger_attributes SET value = '0.99' WHERE entity = 'run:0' AND key = 'auc'", 1),
        ("UPDATE ledger_attributes SET key = 'auc2' WHERE entity = 'run:1' AND key = 'auc'", 2),
        ("DELETE FROM ledger_attributes WHERE entity = 'run:2' AND key = 'auc'", 3),
        ("UPDATE ledger_entities SET at = at + 1 WHERE id = 'run:3'", 4),
        ("UPDATE ledger_entities SET kind = 'model' WHERE id = 'run:4'", 5),
        ("INSERT INTO ledger_attributes SELECT max(number) + 10, 'run:0', 'new', '1' FROM ledger_links", 10),
        ("UPDATE ledger_links SET source = 'run:2'", 6),
        ("DELETE FROM ledger_links", 6),
        ("INSERT INTO ledger_links SELECT max(number) + 1, 'run:3', 'used', 'data:1' FROM ledger_links", 10),
        ("UPDATE ledger_predictions SET body = replace(body, '0.25', '0.75') WHERE number = 2", 7),
        ("UPDATE ledger_predictions SET deployment_name = 'hidden' WHERE number = 5", 8),
        ("DELETE FROM ledger_outcomes WHERE number = 1", 9),
        ("UPDATE ledger_outcomes SET value = 0.0 WHERE number = 3", 9),
        ("UPDATE ledger_outcomes SET value = NULL WHERE number = 2", 9),
        ("UPDATE ledger_outcomes SET value = '1.0x' WHERE number = 2", 9),
        ("UPDATE ledger_predictions SET number = 60 WHERE number = 6", 8),
        ("UPDATE ledger_batches SET at = at - 1 WHERE number = 4", 4),
        ("UPDATE ledger_batches SET content = 'sha256:0' WHERE number = 5", 5),
        ("UPDATE ledger_batches SET digest = 'sha256:0' WHERE number = 5", 5),
        ("DELETE FROM ledger_batches WHERE number = 3", 3),
        ("DELETE FROM ledger_batches WHERE number = 9", 9),
        ("UPDATE ledger_batches SET number = 100 WHERE number = 9", 9),
        ("UPDATE ledger_batches SET count = count - 1 WHERE number = 8", 8),
        ("DELETE FROM ledger_batches", 1),
    ],
)
def test_each_change_is_found_at_its_batch(home: Path, statement: str, first_bad: int) -> None:
    assert tamper(home, statement) > 0
    report = verify(home)
    assert not report.ok
    assert report.first_bad == first_bad, report.detail


def test_rows_that_change_places_are_found(home: Path) -> None:
    swap = "UPDATE ledger_predictions SET number = CASE number WHEN {0} THEN -{1} WHEN {1} THEN -{0} ELSE number END"
    for left, right in ((1, 2), (3, 4)):
        tamper(home, swap.format(left, right), "UPDATE ledger_predictions SET number = abs(number)")
        assert not verify(home).ok
        tamper(home, swap.format(left, right), "UPDATE ledger_predictions SET number = abs(number)")
        assert verify(home).ok


def test_the_end_cut_off_is_found_against_a_head_kept_elsewhere(home: Path) -> None:
    witnessed = head(home)
    tamper(home, "DELETE FROM ledger_batches WHERE number = 9", "DELETE FROM ledger_outcomes")
    assert verify(home).ok
    report = verify(home, witnessed)
    assert (report.ok, report.first_bad) == (False, None)
    assert witnessed in report.detail


def test_writing_goes_on_after_the_verification_and_an_earlier_head_stays_in_the_chain(home: Path) -> None:
    witnessed = head(home)
    store = Store.open(home)
    Ledger(store).record(Entity("run:9", "run", NOON))
    store.close()
    assert verify(home, witnessed).ok
