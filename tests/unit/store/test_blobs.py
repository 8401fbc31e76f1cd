import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput
from stackproof.store import Blobs

ABSENT = "sha256:" + "0" * 64
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob("*.tmp"))


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3 * 1024 * 1024 + 7)], ids=len)
def test_bytes_and_files_come_back_under_the_digest_of_their_content(blobs: Blobs, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    digest = blobs.put_bytes(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert blobs.put_file(tmp_path / "file") == digest
    assert blobs.read(digest) == data
    assert blobs.path(digest).read_bytes() == data
    assert blobs.contains(digest)
    assert leftovers(blobs.root) == []


def test_a_stored_file_is_read_only_and_lies_under_its_digest(blobs: Blobs) -> None:
    digest = blobs.put_bytes(b"x")
    hexadecimal = digest.removeprefix("sha256:")
    assert blobs.path(digest) == blobs.root / hexadecimal[:2] / hexadecimal[2:]
    assert blobs.path(digest).stat().st_mode & 0o777 == 0o444


def test_what_is_not_there_is_not_found(blobs: Blobs, tmp_path: Path) -> None:
    assert not blobs.contains(ABSENT)
    for call in (blobs.read, blobs.path, blobs.tree):
        with pytest.raises(NotFound, match=ABSENT):
            call(ABSENT)
    for put in (blobs.put_file, blobs.put_tree):
        with pytest.raises(NotFound):
            put(tmp_path / "none")
    blobs.delete(ABSENT)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "G" * 64])
def test_what_is_no_digest_is_refused(blobs: Blobs, digest: str) -> None:
    with pytest.raises(RefusedInput):
        blobs.read(digest)


def test_changed_bytes_are_reported_with_their_digest_and_mended_by_the_original(blobs: Blobs) -> None:
    digest = blobs.put_bytes(b"good")
    place = blobs.path(digest)
    place.chmod(0o644)
    place.write_bytes(b"evil")
    for call in (blobs.read, blobs.path):
        with pytest.raises(Corrupted, match=digest):
            call(digest)
    assert blobs.put_bytes(b"good") == digest
    assert blobs.read(digest) == b"good"


def test_a_deleted_blob_is_gone(blobs: Blobs) -> None:
    digest = blobs.put_bytes(b"x")
    blobs.path(digest)
    blobs.delete(digest)
    with pytest.raises(NotFound):
        blobs.path(digest)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.binary(max_size=200), max_size=5), empty=st.sets(NAMES, max_size=3))
def test_any_folder_comes_back_as_it_was(
    blobs: Blobs, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], empty: set[str]
) -> None:
    files = {name: data for name, data in files.items() if len(name.encode()) < 200}
    folder = fill(tmp_path_factory.mktemp("tree") / "source", {f"sub/{name}": data for name, data in files.items()})
    for name in empty:
        (folder / "empty" / name).mkdir(parents=True, exist_ok=True)
    tree = blobs.put_tree(folder)
    restored = blobs.restore_tree(tree.digest, folder.with_name("restored"))
    assert {p.relative_to(restored): p.read_bytes() for p in restored.rglob("*") if p.is_file()} == {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    assert {p.relative_to(restored) for p in restored.rglob("*")} == {p.relative_to(folder) for p in folder.rglob("*")}
    assert blobs.tree(tree.digest) == tree == blobs.put_tree(restored)
    assert tree.size == sum(len(data) for data in files.values())


def test_a_tree_depends_on_names_and_bytes_alone(blobs: Blobs, tmp_path: Path) -> None:
    one = fill(tmp_path / "one", {"b": b"2", "a/x": b"1"})
    two = fill(tmp_path / "two", {"a/x": b"1", "b": b"2"})
    os.utime(two / "b", (0, 0))
    assert blobs.put_tree(one).digest == blobs.put_tree(two).digest
    (two / "b").rename(two / "c")
    assert blobs.put_tree(one).digest != blobs.put_tree(two).digest


def test_a_single_file_is_a_tree_without_a_name_of_its_own(blobs: Blobs, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    tree = blobs.put_tree(tmp_path / "a")
    assert tree.is_file
    assert tree == blobs.put_tree(tmp_path / "b")
    assert tree.files[0].digest == blobs.put_bytes(b"same")
    assert blobs.restore_tree(tree.digest, tmp_path / "deep" / "c").read_bytes() == b"same"


@pytest.mark.parametrize("target", ["/etc/hostname", "inside", "nowhere"])
def test_a_symbolic_link_is_refused_and_never_followed(blobs: Blobs, tmp_path: Path, target: str) -> None:
    folder = fill(tmp_path / "source", {"inside": b"x"})
    (folder / "link").symlink_to(target)
    for path in (folder, folder / "link"):
        with pytest.raises(RefusedInput, match="link"):
            blobs.put_tree(path)


def test_restoring_onto_something_is_a_conflict(blobs: Blobs, tmp_path: Path) -> None:
    tree = blobs.put_tree(fill(tmp_path / "source", {"a": b"1"}))
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    for into in ("there", "dangling"):
        with pytest.raises(Conflict):
            blobs.restore_tree(tree.digest, tmp_path / into)


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_restoring_a_damaged_tree_leaves_nothing_behind(blobs: Blobs, tmp_path: Path, damage: str) -> None:
    tree = blobs.put_tree(fill(tmp_path / "source", {"a": b"1", "z/last": b"2"}))
    place = blobs.path(tree.files[-1].digest)
    place.chmod(0o644)
    if damage == "change":
        place.write_bytes(b"3")
    else:
        place.unlink()
    before = set(tmp_path.iterdir())
    with pytest.raises(Corrupted if damage == "change" else NotFound, match=tree.files[-1].digest):
        blobs.restore_tree(tree.digest, tmp_path / "into")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out", "", "a//b", "."])
def test_a_forged_tree_writes_nothing_outside_of_itself(blobs: Blobs, tmp_path: Path, name: str) -> None:
    content = blobs.put_bytes(b"x")
    forged = f'{{"empty_folders":[],"files":[["{name}","{content}",1]],"is_file":false}}'
    digest = blobs.put_bytes(forged.encode())
    with pytest.raises(Corrupted):
        blobs.restore_tree(digest, tmp_path / "home" / "into")
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "home").iterdir()) == []


def test_many_threads_may_put_the_same_content(blobs: Blobs, tmp_path: Path) -> None:
    folder = fill(tmp_path / "source", {f"{n}": bytes([n]) * 1000 for n in range(20)})
    with ThreadPoolExecutor(8) as pool:
        digests = {future.result().digest for future in [pool.submit(blobs.put_tree, folder) for _ in range(8)]}
    assert len(digests) == 1
    assert leftovers(blobs.root) == []
