"""A flipped bit in the database is found by the ledger's verification or reported as damage; never silent."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stackproof.errors import Corrupted, RefusedInput
from stackproof.ledger import Entity, Ledger, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def write_ledger(home: Path) -> None:
    store = Store.open(home)
    ledger = Ledger(store, clock=lambda: NOON)
    for number in range(30):
        ledger.record(Entity(f"run:{number}", "run", NOON, {"auc": number / 7, "name": f"the run {number}"}))
        ledger.record(Link(f"run:{number}", Relation.USED, "run:0"))
    rows = [
        LoggedPrediction(f"prediction:{n}", "r", "deployment:d@1", "model:m@1", NOON, None, {"origin": "JFK"},
                         {"wind": n / 3, "gust": n / 9}, {}, {"late": 0.5})
        for n in range(200)
    ]  # fmt: skip
    ledger.predictions.append(rows, lambda error: None)
    store.database.flush()
    ledger.predictions.record_outcomes({row.id: 1.0 for row in rows[:50]}, NOON)
    store.close()


def everything(ledger: Ledger) -> Iterator[object]:
    """All that a reader can see."""
    yield ledger.find("run", limit=1000)
    yield [ledger.links_from(f"run:{number}") for number in range(30)]
    yield ledger.links_to("run:0")
    yield ledger.predictions.after(0)
    yield ledger.predictions.after(0, deployment_name="d")
    yield ledger.predictions.get("prediction:77")
    yield ledger.predictions.outcomes([f"prediction:{n}" for n in range(200)])


def look(home: Path) -> tuple[bool, list[object]]:
    """Whether the ledger opens and calls itself whole, and what it then shows."""
    try:
        store = Store.open(home)
    except (Corrupted, RefusedInput):
        return False, []
    try:
        ledger = Ledger(store)
        whole = ledger.verify().ok
        return whole, list(everything(ledger)) if whole else []
    except (Corrupted, RefusedInput):
        return False, []
    finally:
        store.close()
        for left in home.glob("stackproof.db-*"):
            left.unlink()


def flip_bits(home: Path, flips: int, seed: int) -> None:
    write_ledger(home)
    file = home / "stackproof.db"
    good, rng, found = file.read_bytes(), random.Random(seed), 0
    whole, expected = look(home)
    assert whole
    for _ in range(flips):
        data = bytearray(good)
        place = rng.randrange(len(data) * 8)
        data[place // 8] ^= 1 << place % 8
        file.write_bytes(data)
        whole, shown = look(home)
        found += not whole
        assert not whole or shown == expected, f"bit {place} changed what is shown, silently"
    assert found > flips / 4


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    flip_bits(tmp_path, flips=60, seed=3)


@pytest.mark.slow
def test_no_flipped_bit_of_three_thousand_goes_unnoticed(tmp_path: Path) -> None:
    flip_bits(tmp_path, flips=3_000, seed=4)


def test_a_database_cut_short_is_reported(tmp_path: Path) -> None:
    write_ledger(tmp_path)
    file = tmp_path / "stackproof.db"
    good = file.read_bytes()
    for size in (100, 5_000, len(good) // 2 + 7, len(good) - 4096):
        file.write_bytes(good[:size])
        whole, _ = look(tmp_path)
        assert not whole, f"cut to {size} bytes"
