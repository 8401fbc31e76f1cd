import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.errors import Corrupted, RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.versioning import DatasetVersion

START = datetime(2026, 1, 1, tzinfo=UTC)
WRITER = """
import sys
from pathlib import Path
from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.roles.adapter import Setting

home, folder, first = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
snapshots = EmbeddedSnapshots(Setting(home=home))
for n in range(first, first + 10_000):
    (folder / "changing").write_bytes(b"%d" % n * 1000)
    kept = snapshots.snapshot("data", folder)
    print(kept.digest, flush=True)
    for old in snapshots.versions("data")[:-3]:
        snapshots.remove("data", old.digest)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def snapshots(home: Path) -> Iterator[EmbeddedSnapshots]:
    ticks = iter(range(1000))
    adapter = EmbeddedSnapshots(Setting(home=home), clock=lambda: START + timedelta(hours=next(ticks)))
    yield adapter
    adapter.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "shared").write_bytes(b"shared" * 100)
    (folder / "own").write_bytes(b"own" * 100)
    return folder


def stored_files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "versions").rglob("*") if path.is_file())


def test_the_clock_given_tells_the_time(snapshots: EmbeddedSnapshots, folder: Path) -> None:
    first = snapshots.snapshot("data", folder)
    again = snapshots.snapshot("data", folder)
    assert first.created_at == again.created_at == START


def test_removing_frees_only_what_no_other_version_uses(snapshots: EmbeddedSnapshots, folder: Path, home: Path) -> None:
    older = snapshots.snapshot("data", folder)
    (folder / "own").write_bytes(b"new")
    newer = snapshots.snapshot("data", folder)
    assert len(stored_files(home)) == 5
    snapshots.remove("data", older.digest)
    assert len(stored_files(home)) == 3
    snapshots.remove("data", newer.digest)
    assert stored_files(home) == []


def test_a_prefix_that_several_versions_share_is_refused_with_the_choices(
    snapshots: EmbeddedSnapshots, home: Path, folder: Path
) -> None:
    kept = snapshots.snapshot("data", folder)
    twin = kept.digest[:-1] + ("0" if kept.digest[-1] != "0" else "1")
    from stackproof.store import Store

    store = Store.open(home)
    with store.database.transaction() as connection:
        connection.execute(
            "INSERT INTO dataset_versions (name, digest, files, size, created_at) VALUES ('data', ?, 1, 1, ?)",
            (twin, START.isoformat()),
        )
    store.close()
    with pytest.raises(RefusedInput, match=twin):
        snapshots.get("data", kept.digest[:20])
    assert snapshots.get("data", kept.digest) == kept


def change_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(bytes(data))


def cut_short(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [change_a_byte, cut_short, Path.unlink])
@pytest.mark.parametrize("number", range(3))
def test_any_damage_to_any_stored_file_is_found_and_nothing_is_left_behind(
    snapshots: EmbeddedSnapshots, folder: Path, home: Path, tmp_path: Path, damage: Callable[[Path], None], number: int
) -> None:
    kept = snapshots.snapshot("data", folder)
    damage(stored_files(home)[number])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Corrupted, match=kept.id):
        snapshots.restore("data", kept.digest, tmp_path / "restored")
    assert sorted(tmp_path.iterdir()) == before


def test_a_snapshot_of_the_original_mends_a_damaged_version(
    snapshots: EmbeddedSnapshots, folder: Path, home: Path, tmp_path: Path
) -> None:
    kept = snapshots.snapshot("data", folder)
    for file in stored_files(home):
        change_a_byte(file)
    assert snapshots.snapshot("data", folder) == kept
    restored = snapshots.restore("data", kept.digest, tmp_path / "restored")
    assert (restored / "own").read_bytes() == (folder / "own").read_bytes()


def test_a_difference_with_a_damaged_version_says_so(snapshots: EmbeddedSnapshots, folder: Path, home: Path) -> None:
    kept = snapshots.snapshot("data", folder)
    for file in stored_files(home):
        file.unlink()
    with pytest.raises(Corrupted, match=kept.id):
        snapshots.diff("data", kept.digest, kept.digest)


def test_a_link_that_leads_elsewhere_is_refused(snapshots: EmbeddedSnapshots, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(RefusedInput):
        snapshots.snapshot("data", folder)
    assert snapshots.versions() == []


def test_a_broken_store_is_told_by_its_health(home: Path) -> None:
    (home / "stackproof.db").write_bytes(b"this is no database, however long it is" * 100)
    health = EmbeddedSnapshots(Setting(home=home)).health()
    assert not health.ok
    assert "damaged" in health.detail


def kill_while_writing(home: Path, folder: Path, first: int, delay_s: float) -> list[str]:
    """The digests that the writer acknowledged."""
    command = [sys.executable, "-c", WRITER, str(home), str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip()]
        time.sleep(delay_s)
        writer.kill()
        return acknowledged + [line.strip() for line in writer.stdout if line.endswith("\n")]


def check_kills(home: Path, folder: Path, scratch: Path, kills: int) -> None:
    draw = random.Random(kills)
    for kill in range(kills):
        acknowledged = kill_while_writing(home, folder, kill * 10_000, draw.uniform(0, 0.08))
        snapshots = EmbeddedSnapshots(Setting(home=home))
        kept: list[DatasetVersion] = snapshots.versions()
        assert acknowledged[-1] in {version.digest for version in kept}
        for number, version in enumerate(kept):
            snapshots.restore("data", version.digest, scratch / f"{kill}-{number}")
        snapshots.close()


def test_a_killed_writer_leaves_every_version_whole(home: Path, folder: Path, tmp_path: Path) -> None:
    check_kills(home, folder, tmp_path, kills=4)


@pytest.mark.slow
def test_many_killed_writers_leave_every_version_whole(home: Path, folder: Path, tmp_path: Path) -> None:
    check_kills(home, folder, tmp_path, kills=60)
