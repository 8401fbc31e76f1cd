"""The contract of `stackproof.roles.versioning`, executable. Subclass `VersioningConformance`."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.roles.versioning import DatasetVersion
from stackproof.testing.conformance import Conformance, needs

BYTES = bytes(range(256))
TREE: dict[str, bytes] = {"a.csv": b"1,2\n", "empty": b"", "deep/er/b.bin": BYTES, "deep/ü ñ.txt": "é".encode()}
ABSENT = "0123456789abcdef"


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class VersioningConformance(Conformance):
    """Capability "snapshot"."""

    @pytest.fixture
    def snapshots(self, adapter: Any) -> Any:
        needs(adapter, "snapshot")
        return adapter

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return write_tree(tmp_path / "data", TREE)

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "table.bin"
        path.write_bytes(BYTES)
        return path

    def keep(self, snapshots: Any, path: Path, content: bytes, name: str = "table") -> DatasetVersion:
        path.write_bytes(content)
        version = snapshots.snapshot(name, path)
        assert isinstance(version, DatasetVersion)
        return version

    def test_a_version_tells_its_digest_files_and_size(self, snapshots: Any, folder: Path) -> None:
        before = datetime.now(UTC)
        version = snapshots.snapshot("flights", folder)
        assert version.name == "flights"
        assert re.fullmatch("sha256:[0-9a-f]{64}", version.digest)
        assert (version.files, version.size) == (len(TREE), sum(map(len, TREE.values())))
        assert before - timedelta(seconds=1) <= version.created_at <= datetime.now(UTC) + timedelta(seconds=1)
        assert version.created_at.utcoffset() == timedelta(0)

    def test_a_file_is_a_version_of_one_file(self, snapshots: Any, file: Path) -> None:
        version = snapshots.snapshot("table", file)
        assert (version.files, version.size) == (1, len(BYTES))

    def test_content_seen_before_returns_its_first_version(self, snapshots: Any, folder: Path) -> None:
        first = snapshots.snapshot("flights", folder)
        assert snapshots.snapshot("flights", folder) == first
        assert snapshots.versions() == [first]

    def test_content_that_comes_back_returns_its_first_version(self, snapshots: Any, file: Path) -> None:
        first = self.keep(snapshots, file, b"one")
        second = self.keep(snapshots, file, b"two")
        assert self.keep(snapshots, file, b"one") == first
        assert snapshots.versions("table") == [first, second]

    def test_the_digest_depends_on_names_and_bytes_alone(self, snapshots: Any, folder: Path, tmp_path: Path) -> None:
        first = snapshots.snapshot("flights", folder)
        copy = write_tree(tmp_path / "copy", dict(reversed(TREE.items())))
        os.utime(copy / "a.csv", (1, 1))
        assert snapshots.snapshot("other", copy).digest == first.digest
        (copy / "a.csv").rename(copy / "b.csv")
        assert snapshots.snapshot("other", copy).digest != first.digest

    def test_the_digest_is_the_same_in_another_home(self, snapshots: Any, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "second").mkdir()
        second = self.make(tmp_path / "second")
        assert second.snapshot("x", folder).digest == snapshots.snapshot("y", folder).digest
        second.close()

    def test_one_name_may_have_many_versions_and_many_names_one_content(self, snapshots: Any, file: Path) -> None:
        a1 = self.keep(snapshots, file, b"1", "a")
        b1 = self.keep(snapshots, file, b"1", "b")
        a2 = self.keep(snapshots, file, b"2", "a")
        assert snapshots.versions() == [a1, b1, a2]
        assert snapshots.versions("a") == [a1, a2]
        assert snapshots.versions("never") == []
        assert a1.digest == b1.digest

    def test_a_version_is_found_by_digest_and_by_prefix(self, snapshots: Any, file: Path) -> None:
        version = snapshots.snapshot("table", file)
        digits = version.digest.removeprefix("sha256:")
        for named in (version.digest, version.digest[:13], digits, digits[:6], version.id.partition("@")[2]):
            assert snapshots.get("table", named) == version

    @pytest.mark.parametrize("digest", ["", "abc12", "sha256:abc12", "xyzxyz", "../../etc", "*" * 8, "%" * 6])
    def test_what_is_no_digest_is_refused(self, snapshots: Any, file: Path, digest: str) -> None:
        snapshots.snapshot("table", file)
        with pytest.raises(RefusedInput):
            snapshots.get("table", digest)

    def test_an_absent_version_is_not_found(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("table", file)
        for name, digest in (("table", ABSENT), ("other", version.digest)):
            with pytest.raises(NotFound):
                snapshots.get(name, digest)
            with pytest.raises(NotFound):
                snapshots.restore(name, digest, tmp_path / "restored")
            with pytest.raises(NotFound):
                snapshots.diff(name, digest, version.digest)
            with pytest.raises(NotFound):
                snapshots.remove(name, digest)

    @pytest.mark.parametrize("name", ["", "Flights", "a b", "a/b", "ü", "a\n", "a@b", "a:b"])
    def test_a_name_of_other_characters_is_refused(self, snapshots: Any, file: Path, name: str) -> None:
        with pytest.raises(RefusedInput):
            snapshots.snapshot(name, file)
        assert snapshots.versions() == []

    def test_a_path_that_does_not_exist_is_not_found(self, snapshots: Any, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            snapshots.snapshot("table", tmp_path / "absent")
        assert snapshots.versions() == []

    def test_a_folder_is_restored_as_it_was(self, snapshots: Any, folder: Path, tmp_path: Path) -> None:
        (folder / "hollow").mkdir()
        version = snapshots.snapshot("flights", folder)
        into = tmp_path / "new" / "restored"
        assert snapshots.restore("flights", version.digest[:20], into) == into
        assert read_tree(into) == TREE
        assert snapshots.snapshot("flights", into) == version

    def test_a_file_is_restored_as_a_file(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("table", file)
        into = snapshots.restore("table", version.digest, tmp_path / "restored.bin")
        assert into.is_file()
        assert into.read_bytes() == BYTES

    def test_an_empty_folder_is_a_version(self, snapshots: Any, tmp_path: Path) -> None:
        (tmp_path / "nothing").mkdir()
        version = snapshots.snapshot("nothing", tmp_path / "nothing")
        assert (version.files, version.size) == (0, 0)
        assert list(snapshots.restore("nothing", version.digest, tmp_path / "restored").iterdir()) == []

    def test_the_original_may_change_or_go(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = self.keep(snapshots, file, b"one")
        file.write_bytes(b"two")
        file.unlink()
        assert snapshots.restore("table", version.digest, tmp_path / "restored").read_bytes() == b"one"

    def test_what_was_restored_may_be_changed_without_harm(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("table", file)
        snapshots.restore("table", version.digest, tmp_path / "first").write_bytes(b"scribble")
        assert snapshots.restore("table", version.digest, tmp_path / "second").read_bytes() == BYTES

    def test_nothing_is_written_over_what_exists(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("table", file)
        taken = tmp_path / "taken"
        taken.write_bytes(b"mine")
        for into in (taken, tmp_path):
            with pytest.raises(Conflict):
                snapshots.restore("table", version.digest, into)
        assert taken.read_bytes() == b"mine"

    def test_a_difference_names_what_was_added_removed_and_changed(self, snapshots: Any, folder: Path) -> None:
        older = snapshots.snapshot("flights", folder)
        (folder / "empty").unlink()
        (folder / "deep" / "er" / "b.bin").write_bytes(b"other")
        write_tree(folder, {"z.csv": b"1", "deep/c.csv": b"1"})
        newer = snapshots.snapshot("flights", folder)
        found = snapshots.diff("flights", older.digest[:15], newer.digest)
        assert (found.added, found.removed, found.changed) == (("deep/c.csv", "z.csv"), ("empty",), ("deep/er/b.bin",))
        back = snapshots.diff("flights", newer.digest, older.digest)
        assert (back.added, back.removed, back.changed) == (("empty",), ("deep/c.csv", "z.csv"), ("deep/er/b.bin",))

    def test_a_version_does_not_differ_from_itself(self, snapshots: Any, folder: Path) -> None:
        version = snapshots.snapshot("flights", folder)
        same = snapshots.diff("flights", version.digest, version.digest)
        assert (same.added, same.removed, same.changed) == ((), (), ())

    def test_a_changed_file_is_named_after_its_dataset(self, snapshots: Any, file: Path) -> None:
        older, newer = self.keep(snapshots, file, b"one"), self.keep(snapshots, file, b"two")
        assert snapshots.diff("table", older.digest, newer.digest).changed == ("table",)

    def test_a_removed_version_is_gone_and_the_others_stay(self, snapshots: Any, folder: Path, tmp_path: Path) -> None:
        older = snapshots.snapshot("flights", folder)
        twin = snapshots.snapshot("twin", folder)
        (folder / "a.csv").write_bytes(b"other")
        newer = snapshots.snapshot("flights", folder)
        snapshots.remove("flights", older.digest)
        assert snapshots.versions() == [twin, newer]
        with pytest.raises(NotFound):
            snapshots.get("flights", older.digest)
        assert read_tree(snapshots.restore("twin", twin.digest, tmp_path / "one")) == TREE
        snapshots.remove("twin", twin.digest)
        assert read_tree(snapshots.restore("flights", newer.digest, tmp_path / "two")) == TREE | {"a.csv": b"other"}

    def test_a_removed_version_can_be_kept_again(self, snapshots: Any, file: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("table", file)
        snapshots.remove("table", version.digest[:13])
        again = snapshots.snapshot("table", file)
        assert again.digest == version.digest
        assert snapshots.restore("table", again.digest, tmp_path / "restored").read_bytes() == BYTES

    def test_versions_outlive_the_adapter(self, snapshots: Any, folder: Path, home: Path, tmp_path: Path) -> None:
        version = snapshots.snapshot("flights", folder)
        snapshots.close()
        again = self.make(home)
        assert again.versions() == [version]
        assert read_tree(again.restore("flights", version.digest, tmp_path / "restored")) == TREE
        again.close()

    def test_many_threads_may_keep_the_same_and_different_content(self, snapshots: Any, tmp_path: Path) -> None:
        def keep(number: int) -> DatasetVersion:
            path = tmp_path / f"file{number}"
            return self.keep(snapshots, path, b"%d" % (number % 4))

        with ThreadPoolExecutor(8) as pool:
            kept = list(pool.map(keep, range(24)))
        assert len(snapshots.versions("table")) == 4
        assert all(kept[number] == kept[number % 4] for number in range(24))
