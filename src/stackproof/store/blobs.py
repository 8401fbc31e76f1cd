"""Files and folders kept by the SHA-256 of their content."""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput
from stackproof.store.failures import write_errors
from stackproof.store.files import make_folders, sync_folder
from stackproof.store.trees import description, listed, no_file

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1024 * 1024
_FILES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file of a tree. `name` is relative, with "/"; "" when the tree is one file. `size` in bytes."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """A kept file or folder. `files` by name; `empty_folders` those without any entry, by name.

    `digest` depends on names and bytes alone; the own name of a single file does not count.
    """

    digest: str
    is_file: bool
    files: tuple[TreeFile, ...]
    empty_folders: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)


class Blobs:
    """Content-addressed files below `root`. Many threads and processes may use the same root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._lock = threading.Lock()

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes, durably. Returns "sha256:" and 64 hex digits. Raises `StorageFull`, `StorageFailed`."""
        digest = _digest(hashlib.sha256(data))
        if not self._is_sound(digest):
            with self._unfinished(self.root) as unfinished, write_errors(unfinished):
                with unfinished.open("xb") as file:
                    file.write(data)
                    _sync(file)
                self._adopt(unfinished, digest)
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file, durably, reading it in pieces. Raises `NotFound` when there is none."""
        digest = _hash_file(path)
        return digest if self._is_sound(digest) else self._copy_in(path)

    def put_tree(self, path: Path) -> Tree:
        """Keep a file, or a folder with all below it. Symbolic links are refused, not followed.

        Raises `NotFound`, and `RefusedInput` for links, sockets and names that are not UTF-8.
        """
        found = listed(path)
        if found.is_file:
            digests = [self.put_file(path)]
        else:
            with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
                digests = list(pool.map(lambda name: self.put_file(path / name), found.files))
        contents = [(digest, self.path(digest).stat().st_size) for digest in digests]
        files = tuple(TreeFile(name, *content) for name, content in zip(found.files, contents, strict=True))
        return Tree(self.put_bytes(description(found, contents)), found.is_file, files, found.empty_folders)

    def tree(self, digest: str) -> Tree:
        """Raises `NotFound`; `Corrupted` when the stored description changed or is none."""
        try:
            data = json.loads(self.read(digest))
            return Tree(
                digest=digest,
                is_file=data["is_file"],
                files=tuple(TreeFile(name, content, size) for name, content, size in data["files"]),
                empty_folders=tuple(data["empty_folders"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupted("A blob is not the description of a tree", got=digest) from error

    def read(self, digest: str) -> bytes:
        """The bytes, verified. Raises `NotFound`, `Corrupted`."""
        place = self._place(digest)
        try:
            data = place.read_bytes()
        except FileNotFoundError:
            raise _no_blob(digest) from None
        if _digest(hashlib.sha256(data)) != digest:
            raise self._changed(digest)
        return data

    def path(self, digest: str) -> Path:
        """A read-only file with the content, verified once per process and state of the file.

        Raises `NotFound`, `Corrupted`.
        """
        place = self._place(digest)
        try:
            state = _state(place)
        except FileNotFoundError:
            raise _no_blob(digest) from None
        if self._verified.get(digest) != state:
            if _hash_file(place) != digest:
                raise self._changed(digest)
            with self._lock:
                self._verified[digest] = state
        return place

    def restore_tree(self, digest: str, into: Path) -> Path:
        """Write a tree to `into`, which must not exist, every byte verified. Returns `into`.

        Raises `Conflict` when `into` exists, `NotFound`, `Corrupted`; then nothing is left behind.
        """
        tree = self.tree(digest)
        if into.exists() or into.is_symlink():
            raise Conflict("The place to restore to exists already", got=into, allowed="a path that does not exist")
        make_folders(into.parent)
        with self._unfinished(into.parent) as unfinished, write_errors(into):
            self._write_tree(tree, unfinished)
            unfinished.rename(into)
            sync_folder(into.parent)
        return into

    def contains(self, digest: str) -> bool:
        """Whether a blob of that digest is there; its bytes are not looked at."""
        return self._place(digest).exists()

    def delete(self, digest: str) -> None:
        """Remove a blob; none is no error. For a tree only its description goes."""
        with write_errors(self.root):
            self._place(digest).unlink(missing_ok=True)
        with self._lock:
            self._verified.pop(digest, None)

    def _copy_in(self, path: Path) -> str:
        with self._unfinished(self.root) as unfinished, write_errors(unfinished):
            with path.open("rb") as source, unfinished.open("xb") as target:
                hasher = hashlib.sha256()
                while chunk := source.read(_CHUNK_BYTES):
                    hasher.update(chunk)
                    target.write(chunk)
                _sync(target)
            digest = _digest(hasher)
            self._adopt(unfinished, digest)
        return digest

    def _adopt(self, unfinished: Path, digest: str) -> None:
        place = self._place(digest)
        make_folders(place.parent)
        unfinished.chmod(0o444)
        unfinished.replace(place)
        sync_folder(place.parent)
        with self._lock:
            self._verified[digest] = _state(place)

    def _write_tree(self, tree: Tree, target: Path) -> None:
        if tree.is_file:
            self._write_file(tree.files[0], target)
            return
        target.mkdir()
        for name in tree.empty_folders:
            _inside(target, name).mkdir(parents=True, exist_ok=True)
        for file in tree.files:
            place = _inside(target, file.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            self._write_file(file, place)
        for folder, _, _ in os.walk(target):
            sync_folder(Path(folder))

    def _write_file(self, file: TreeFile, target: Path) -> None:
        try:
            source = self._place(file.digest).open("rb")
        except FileNotFoundError:
            raise _no_blob(file.digest) from None
        hasher = hashlib.sha256()
        with source, target.open("xb") as copy:
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                copy.write(chunk)
            _sync(copy)
        if _digest(hasher) != file.digest:
            raise self._changed(file.digest)

    @contextmanager
    def _unfinished(self, folder: Path) -> Iterator[Path]:
        make_folders(folder)
        path = folder / f".{uuid4().hex}.tmp"
        try:
            yield path
        finally:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _is_sound(self, digest: str) -> bool:
        try:
            self.path(digest)
        except (NotFound, Corrupted):
            return False
        return True

    def _place(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise RefusedInput("That is no digest", got=repr(digest), allowed='"sha256:" and 64 hex digits')
        hexadecimal = digest.removeprefix("sha256:")
        return self.root / hexadecimal[:2] / hexadecimal[2:]

    def _changed(self, digest: str) -> Corrupted:
        return Corrupted(
            f"The stored bytes of {digest} have changed",
            got=self._place(digest),
            allowed="bytes with that digest",
            next_command="put the original file in again: it replaces the damaged one; or restore a backup",
        )


def _inside(root: Path, name: str) -> Path:
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Corrupted("A stored tree names a file outside of itself", got=repr(name))
    return root.joinpath(*parts)


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _digest(hashlib.file_digest(file, "sha256"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise no_file(path) from None


def _digest(hasher: "hashlib._Hash") -> str:
    return "sha256:" + hasher.hexdigest()


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _no_blob(digest: str) -> NotFound:
    return NotFound(f"The store has no content {digest}", next_command="restore it from a backup of the blobs folder")
