"""kill -9 of a writing process: acknowledged ⊆ recovered ⊆ attempted, and never half a transaction."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stackproof.ledger import Ledger
from stackproof.store import Schema, Store

ROWS = Schema("rows", ("CREATE TABLE rows (id INTEGER PRIMARY KEY, attempt TEXT NOT NULL)",))
ROWS_PER_ATTEMPT = 3

WRITER = """
import itertools, os, sys
from datetime import UTC, datetime
from pathlib import Path
from stackproof.ledger import Entity, Ledger
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store, Schema

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

home, life = Path(sys.argv[1]), sys.argv[2]
store = Store.open(home, Schema("rows", ("CREATE TABLE rows (id INTEGER PRIMARY KEY, attempt TEXT NOT NULL)",)))
ledger, at = Ledger(store), datetime(2026, 1, 1, tzinfo=UTC)

def told(name):
    return lambda error: say("acked" if error is None else "failed", name)

for number in itertools.count():
    name = f"{life}-{number}"
    say("attempted", "prediction:" + name)
    ledger.predictions.append([LoggedPrediction("prediction:" + name, "r", "deployment:d@1", "model:m@1", at, None,
        {}, {"x": 0.5}, {}, {})], told("prediction:" + name))
    say("attempted", "run:" + name)
    with store.database.transaction() as connection:
        connection.executemany("INSERT INTO rows (attempt) VALUES (?)", [("run:" + name,)] * 3)
        ledger.record(Entity("run:" + name, "run", at, {"number": number}))
    say("acked", "run:" + name)
"""


def live_and_die(home: Path, life: str, seconds: float) -> tuple[set[str], set[str]]:
    """Run the writer, kill it some time after its first acknowledged write. Returns attempted, acknowledged."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(home), life], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [writer.stdout.readline(), writer.stdout.readline()]
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    complete = ("".join(said) + rest).rpartition("\n")[0].splitlines()
    words = [line.split() for line in complete]
    assert not [word for word in words if word[0] == "failed"]
    return {name for what, name in words if what == "attempted"}, {name for what, name in words if what == "acked"}


def recovered(home: Path) -> set[str]:
    """What is in the store, each attempt whole, the chain unbroken."""
    store = Store.open(home, ROWS)
    try:
        ledger = Ledger(store)
        report = ledger.verify()
        assert report.ok, report.detail
        with store.database.read() as connection:
            counts = dict(connection.execute("SELECT attempt, count(*) FROM rows GROUP BY attempt"))
            runs = {id for (id,) in connection.execute("SELECT id FROM ledger_entities")}
        assert set(counts.values()) <= {ROWS_PER_ATTEMPT}
        assert set(counts) == runs
        return runs | {prediction.id for _, prediction in ledger.predictions.after(0, limit=10_000_000)}
    finally:
        store.close()


def kill_again_and_again(home: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    attempted: set[str] = set()
    acknowledged: set[str] = set()
    for life in range(kills):
        more_attempted, more_acknowledged = live_and_die(home, str(life), rng.uniform(0, 0.06))
        attempted |= more_attempted
        acknowledged |= more_acknowledged
        if life % 5 == 4 or life == kills - 1:
            found = recovered(home)
            assert acknowledged <= found, f"lost: {sorted(acknowledged - found)[:5]}"
            assert found <= attempted, f"never attempted: {sorted(found - attempted)[:5]}"
    assert len(acknowledged) > kills


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=15, seed=1)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_three_hundred_kills(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=300, seed=2)


def test_a_writer_killed_in_the_middle_of_a_transaction_frees_the_lock(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from stackproof.store import Store, Schema
store = Store.open(Path(sys.argv[1]))
with store.database.transaction() as connection:
    connection.execute("CREATE TABLE half (x)")
    print("holding", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        holder.send_signal(signal.SIGKILL)
    store = Store.open(tmp_path, ROWS)
    with store.database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    store.close()
