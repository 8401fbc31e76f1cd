"""Many processes on one store: nobody is told "locked", nobody loses a write, nobody starves."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stackproof.ledger import Ledger
from stackproof.store import Store

COUNTER = """
import sys
from pathlib import Path
from stackproof.store import Store, Schema
home, rounds = Path(sys.argv[1]), int(sys.argv[2])
sys.stdin.readline()
schema = Schema("counter", ("CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0)",))
store = Store.open(home, schema)
for _ in range(rounds):
    with store.database.transaction() as connection:
        (n,) = connection.execute("SELECT n FROM counter").fetchone()
        connection.execute("UPDATE counter SET n = ?", (n + 1,))
    with store.database.read() as connection:
        assert connection.execute("SELECT n FROM counter").fetchone()[0] > n
store.close()
"""

FIRST_OPENER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
sys.stdin.readline()
from stackproof.ledger import Entity, Ledger
from stackproof.store import Store
store = Store.open(Path(sys.argv[1]))
Ledger(store).record(Entity(f"run:{sys.argv[2]}", "run", datetime.now(UTC)))
store.close()
"""

SHARER = """
import sys, time
from pathlib import Path
from stackproof.store import Store, Schema
home, name = Path(sys.argv[1]), sys.argv[2]
store = Store.open(home, Schema("shares", ("CREATE TABLE shares (n INTEGER PRIMARY KEY, name TEXT NOT NULL)",)))
print("ready", flush=True)
sys.stdin.readline()
while True:
    with store.database.transaction() as connection:
        (taken,) = connection.execute("SELECT count(*) FROM shares").fetchone()
        if taken >= 800:
            break
        connection.execute("INSERT INTO shares (name) VALUES (?)", (name,))
store.close()
"""


def start(code: str, arguments: Sequence[Sequence[str]]) -> list[subprocess.Popen[str]]:
    """Processes that wait for a line on their standard input."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", code, *some],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for some in arguments
    ]  # fmt: skip


def go(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Let all begin at once, and wait; a process that failed fails the test with its own words."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    complaints = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(complaints)
    assert not any(complaints)


def test_eight_processes_count_together_without_losing_a_step(tmp_path: Path) -> None:
    go(start(COUNTER, [[str(tmp_path), "25"]] * 8))
    store = Store.open(tmp_path)
    with store.database.read() as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (200,)
    store.close()


def test_twenty_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there" / "yet"
    go(start(FIRST_OPENER, [[str(home), str(number)] for number in range(20)]))
    store = Store.open(home)
    ledger = Ledger(store)
    assert len(ledger.find("run")) == 20
    assert (ledger.verify().ok, ledger.verify().batches) == (True, 20)
    store.close()


def test_no_process_starves_while_others_write(tmp_path: Path) -> None:
    processes = start(SHARER, [[str(tmp_path), str(number)] for number in range(4)])
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go(processes)
    store = Store.open(tmp_path)
    with store.database.read() as connection:
        shares = [n for (n,) in connection.execute("SELECT count(*) FROM shares WHERE n > 100 GROUP BY name")]
    store.close()
    assert len(shares) == 4
    assert max(shares) <= 4 * min(shares), shares


@pytest.mark.slow
def test_thirty_two_processes_count_together(tmp_path: Path) -> None:
    go(start(COUNTER, [[str(tmp_path), "200"]] * 32))
    store = Store.open(tmp_path)
    with store.database.read() as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (6_400,)
    store.close()


FORKED = """
import os, sys
from pathlib import Path
from stackproof.errors import Conflict
from stackproof.store import Schema, Store
store = Store.open(Path(sys.argv[1]), Schema("t", ("CREATE TABLE t (x)",)))
child = os.fork()
if child == 0:
    try:
        with store.database.transaction():
            print("wrote", flush=True)
    except Conflict:
        print("refused", flush=True)
    sys.exit(0)
os.waitpid(child, 0)
with store.database.transaction() as connection:
    connection.execute("INSERT INTO t VALUES (1)")
store.close()
print("closed", flush=True)
"""


def test_a_forked_child_is_refused_and_leaves_its_parents_store_alone(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["refused", "closed"]
    store = Store.open(tmp_path)
    with store.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
    store.close()
