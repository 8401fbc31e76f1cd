"""A disk that is full, and one whose fsync fails."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.store import Schema, Store

ROWS = Schema("rows", ("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",))

ON_A_SMALL_DISK = """
import json, sys
from pathlib import Path
from stackproof.errors import StorageFull
from stackproof.store import Schema, Store
disk = Path(sys.argv[1])
(disk / "ballast").write_bytes(bytes(400_000))
store = Store.open(disk / "home", Schema("rows", ("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)))
database, acked, refused = store.database, 0, []

def insert(connection):
    connection.execute("INSERT INTO rows (text) VALUES (?)", ("x" * 2000,))

def count():
    with database.read() as connection:
        return connection.execute("SELECT count(*) FROM rows").fetchone()[0]

try:
    for _ in range(1000):
        with database.transaction() as connection:
            insert(connection)
        acked += 1
except StorageFull as full:
    refused.append(str(full))
kept_when_full = count()
try:
    store.blobs.put_bytes(bytes(500_000))
except StorageFull as full:
    refused.append(str(full))
for _ in range(20):
    database.enqueue(insert)
try:
    database.flush()
except StorageFull as full:
    refused.append(str(full))
(disk / "ballast").unlink()
database.flush()
with database.transaction() as connection:
    insert(connection)
digest = store.blobs.put_bytes(bytes(1000))
print(json.dumps({
    "acked": acked, "kept_when_full": kept_when_full, "refused": refused, "in_the_end": count(),
    "left_over": [str(path) for path in disk.rglob("*.tmp")], "blob": store.blobs.contains(digest),
    "integrity": database._writer.execute("PRAGMA integrity_check").fetchone()[0],
}))
store.close()
"""


def on_a_tmpfs(disk: Path, kilobytes: int, code: str) -> dict[str, Any]:
    """Run Python code with a small file system mounted at `disk`, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no `unshare` to mount a small disk with")
    disk.mkdir()
    mount = f'mount -t tmpfs -o size={kilobytes}k none "$0" && exec "$@"'
    inner = ["sh", "-c", mount, str(disk), sys.executable, "-c", code, str(disk)]
    as_nobody = ["unshare", "--user", "--map-root-user", "--mount"]
    ran = subprocess.run([*as_nobody, *inner], capture_output=True, text=True, check=False)
    if ran.returncode != 0 and re.search(r"unshare|mount", ran.stderr) and "Traceback" not in ran.stderr:
        ran = subprocess.run(["unshare", "--mount", *inner], capture_output=True, text=True, check=False)
    if ran.returncode != 0 and "Traceback" not in ran.stderr:
        pytest.skip(f"this machine lets nobody mount a small disk: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def test_a_full_disk_refuses_writes_loses_nothing_and_heals(tmp_path: Path) -> None:
    found = on_a_tmpfs(tmp_path / "disk", 1000, ON_A_SMALL_DISK)
    assert found["acked"] == found["kept_when_full"] > 0
    assert len(found["refused"]) == 3
    assert all("no room" in words and "df -h" in words for words in found["refused"])
    assert found["in_the_end"] == found["acked"] + 21
    assert found["left_over"] == []
    assert found["blob"]
    assert found["integrity"] == "ok"


BEYOND_A_LIMIT = """
import resource, sys
from pathlib import Path
from stackproof.errors import StorageFull
from stackproof.store import Blobs, write_durably
folder = Path(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
write_durably(folder / "file", b"older")
for write in (Blobs(folder / "blobs").put_bytes, lambda data: write_durably(folder / "file", data)):
    try:
        write(bytes(200_000))
    except StorageFull as full:
        print("refused")
"""


def test_a_file_beyond_the_size_limit_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BEYOND_A_LIMIT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "refused\n" * 2)
    assert (tmp_path / "file").read_bytes() == b"older"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]


WRITES_UNTIL_IT_FAILS = """
import os, sys
from pathlib import Path
from stackproof.errors import StorageFailed
from stackproof.store import Schema, Store
def say(text):
    os.write(1, text.encode() + b"\\n")
try:
    store = Store.open(Path(sys.argv[1]), Schema("rows", (
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)))
except StorageFailed:
    say("not opened")
    os._exit(0)
for number in range(1, 30):
    say(f"attempted {number}")
    try:
        with store.database.transaction() as connection:
            connection.execute("INSERT INTO rows VALUES (?, 'x')", (number,))
    except StorageFailed:
        say("failed")
        break
    say(f"acked {number}")
for _ in range(3):
    try:
        with store.database.transaction() as connection:
            connection.execute("INSERT INTO rows (text) VALUES ('after the failure')")
        say("wrote after a failed fsync")
    except StorageFailed:
        say("refused")
    told = []
    store.database.enqueue(lambda connection: None, told.append)
    say(type(told[0]).__name__)
os._exit(0)
"""


def strace(*options: str, code: str, home: Path) -> list[str]:
    """The lines that the code printed, run under strace."""
    if shutil.which("strace") is None:
        pytest.skip("there is no `strace` to make fsync fail with")
    command = ["strace", "-f", "-qq", *options, sys.executable, "-c", code, str(home)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ptrace" in ran.stderr and ran.returncode != 0:
        pytest.skip(f"this machine lets nobody trace: {ran.stderr.strip()[:200]}")
    return ran.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("index", range(1, 13))
def test_after_a_failed_fsync_nothing_more_is_written_and_nothing_acknowledged_is_lost(
    tmp_path: Path, index: int
) -> None:
    inject, trace = f"inject=fdatasync,fsync:error=EIO:when={index}", tmp_path / "trace"
    said = strace("-y", "-o", str(trace), "-e", "trace=fdatasync,fsync", "-e", inject,
                  code=WRITES_UNTIL_IT_FAILS, home=tmp_path / "home")  # fmt: skip
    (injected, *_) = [line for line in trace.read_text().splitlines() if "INJECTED" in line]
    if said == ["not opened"]:
        return
    acked = {int(line.split()[1]) for line in said if line.startswith("acked")}
    attempted = {int(line.split()[1]) for line in said if line.startswith("attempted")}
    if "stackproof.db" in injected:  # else a folder that the store had synced itself before
        assert said[-7:] == ["failed", *["refused", "StorageFailed"] * 3]
    store = Store.open(tmp_path / "home", ROWS)
    with store.database.read() as connection:
        found = {number for (number,) in connection.execute("SELECT id FROM rows WHERE text = 'x'")}
    store.close()
    assert acked <= found <= attempted


ACKNOWLEDGES = """
import os, sys
from pathlib import Path
from stackproof.store import Schema, Store
store = Store.open(Path(sys.argv[1]), Schema("rows", (
    "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",)))
for number in range(20):
    if number % 2:
        with store.database.transaction() as connection:
            connection.execute("INSERT INTO rows (text) VALUES ('x')")
    else:
        store.database.enqueue(lambda connection: connection.execute("INSERT INTO rows (text) VALUES ('y')"))
        store.database.flush()
    os.write(1, f"acked {number}\\n".encode())
"""


@pytest.mark.slow
def test_every_acknowledgement_has_a_sync_before_it(tmp_path: Path) -> None:
    strace(
        "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync,fsync,write", code=ACKNOWLEDGES, home=tmp_path / "home"
    )
    synced, acknowledged = False, 0
    for line in (tmp_path / "trace").read_text().splitlines():
        if re.search(r"f(data)?sync.*= 0", line):
            synced = True
        elif 'write(1, "acked' in line:
            assert synced, line
            synced, acknowledged = False, acknowledged + 1
    assert acknowledged == 20
