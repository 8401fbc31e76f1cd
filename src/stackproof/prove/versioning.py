"""Versioning: snapshots of one large file and of many small ones, and whether every byte comes back."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.errors import NotFound
from stackproof.prove.candidate import Opener, Running, Writer
from stackproof.prove.record import Record, timed
from stackproof.prove.scenario import Given

SMALL = 10_000
PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the one file, and the number of small files, 10 KB each."""

    file: int
    files: int


SIZES = {
    "smoke": Size(8 << 20, 100),
    "medium": Size(200 << 20, 5_000),
    "full": Size(2_000 << 20, 50_000),
}


class VersioningScenario:
    """A dataset as one file, and as a folder of which one file changes."""

    name = "files and folders"
    needs = frozenset({"snapshot"})

    def __init__(self, size: str, given: Given) -> None:
        self._size, self._data = SIZES[size], given.data
        if given.data is not None and not given.data.exists():
            raise NotFound("There are no data", got=str(given.data))

    def round(self, running: Running, folder: Path, record: Record) -> None:
        snapshots = running.adapter
        few = _written(folder / "first.bin", SMALL, 3)
        _, seconds = timed(lambda: snapshots.snapshot("first", few))
        record.figure("first_call", "s", seconds)
        self._one_file(snapshots, folder, record)
        self._many_files(snapshots, folder, record)

    def _one_file(self, snapshots: Any, folder: Path, record: Record) -> None:
        source = self._data or _written(folder / "large.bin", self._size.file, 1)
        megabytes = sum(file.stat().st_size for file in _files(source)) / 1e6
        kept, seconds = timed(lambda: snapshots.snapshot("table", source))
        record.rate("snapshot_file", megabytes, seconds, "MB/s")
        back, seconds = timed(lambda: snapshots.restore("table", kept.digest, folder / "restored"))
        record.rate("restore_file", megabytes, seconds, "MB/s")
        record.check(_content(back) == _content(source), "a file came back with other bytes")
        again = snapshots.snapshot("table", source)
        record.check(again == kept, "the same content kept again is another version")

    def _many_files(self, snapshots: Any, folder: Path, record: Record) -> None:
        tree, count = folder / "tree", self._size.files
        for number in range(count):
            _written(tree / f"part-{number // 1000}" / f"{number}.bin", SMALL, 1000 + number)
        first, seconds = timed(lambda: snapshots.snapshot("parts", tree))
        record.rate("snapshot_files", count, seconds)
        before = _content(tree)
        _written(tree / "part-0" / "0.bin", SMALL, 7)
        _written(tree / "new.bin", SMALL, 8)
        (tree / "part-0" / "1.bin").unlink()
        second, seconds = timed(lambda: snapshots.snapshot("parts", tree))
        record.figure("snapshot_again", "s", seconds)
        differs = snapshots.diff("parts", first.digest, second.digest)
        wanted = (("new.bin",), ("part-0/1.bin",), ("part-0/0.bin",))
        record.check((differs.added, differs.removed, differs.changed) == wanted, "a difference names other files")
        back, seconds = timed(lambda: snapshots.restore("parts", first.digest, folder / "restored-tree"))
        record.rate("restore_files", count, seconds)
        found = _content(back)
        record.check(len(found) == len(before), f"of a folder's {len(before):,} files {len(found):,} came back")
        record.check(found == before or len(found) != len(before), "a folder came back with other names or bytes")
        known = {version.digest for version in snapshots.versions("parts")}
        record.check(known == {first.digest, second.digest}, f"two versions were kept and {len(known)} are listed")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        running = opened(home)
        snapshots = running.adapter
        acknowledged: list[tuple[str, dict[str, str]]] = []

        def keep(number: int) -> None:
            tree = folder / f"tree-{number}"
            for part in range(8):
                _written(tree / f"{part}.bin", SMALL, number * 8 + part)
            version = snapshots.snapshot("parts", tree)
            acknowledged.append((version.digest, _content(tree)))

        writer = Writer(keep)
        reached, killed = writer.kill(running, 3, later_s=0.02)
        if not record.check(reached, f"a snapshot could not be taken: {writer.error}"):
            return
        again = opened(home)
        known = {version.digest for version in again.adapter.versions("parts")}
        record.figure("recovery", "s", time.perf_counter() - killed)
        self._check_survived(again.adapter, known, acknowledged, writer, folder, record)
        again.close()

    def _check_survived(
        self,
        snapshots: Any,
        known: set[str],
        acknowledged: list[tuple[str, dict[str, str]]],
        writer: Writer,
        folder: Path,
        record: Record,
    ) -> None:
        digests = {digest for digest, _ in acknowledged}
        lost = len(digests - known)
        record.figure("acknowledged", "1", len(digests))
        record.figure("recovered", "1", len(digests & known))
        record.check(lost == 0, f"after SIGKILL {lost:,} of {len(digests):,} acknowledged versions are gone")
        more = len(known - digests)
        record.check(
            more <= writer.attempted - writer.acknowledged, f"after SIGKILL {more:,} versions are there of nothing"
        )
        for number, (digest, content) in enumerate(one for one in acknowledged[-3:] if one[0] in known):
            back = snapshots.restore("parts", digest, folder / f"back-{number}")
            record.check(_content(back) == content, "after SIGKILL an acknowledged version came back with other bytes")


def _written(path: Path, size: int, seed: int) -> Path:
    """The same bytes each time for the same seed, which nothing compresses."""
    import numpy

    path.parent.mkdir(parents=True, exist_ok=True)
    draw = numpy.random.default_rng(seed)
    with path.open("wb") as file:
        for start in range(0, size, PIECE):
            file.write(draw.bytes(min(PIECE, size - start)))
    return path


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _content(path: Path) -> dict[str, str]:
    """Relative name to the digest of the bytes; a single file has the name ""."""
    found = {}
    for file in _files(path):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "blake2b").hexdigest()
        found["" if file == path else str(file.relative_to(path))] = digest
    return found
