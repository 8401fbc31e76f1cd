"""The content of a file or folder: its digest, and a durable copy. For adapters in an environment of their own."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stackproof.errors import NotFound, RefusedInput, StorageFailed, StorageFull, is_full
from stackproof.store.files import sync
from stackproof.store.trees import Listed, description, listed

CHUNK_BYTES = 4 << 20
FILES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Content:
    """`files`: name ("" for a single file), "sha256:..." and size, sorted by name. `inodes` of a copy that was made."""

    is_file: bool
    files: tuple[tuple[str, str, int], ...]
    empty_folders: tuple[str, ...]
    inodes: frozenset[int]

    @property
    def digest(self) -> str:
        """The one that Stackproof's embedded versioning gives to the same content."""
        found = Listed(self.is_file, tuple(name for name, _, _ in self.files), self.empty_folders)
        text = description(found, [(digest, size) for _, digest, size in self.files])
        return "sha256:" + hashlib.sha256(text).hexdigest()

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(size for _, _, size in self.files)


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is to read: where each file lies by its name, and the names of folders without entries."""

    is_file: bool
    files: Mapping[str, Path]
    empty_folders: tuple[str, ...] = ()

    def read(self, target: Path | None = None) -> Content:
        """Read every file; with a `target`, which must not exist, copy it there durably as well.

        Raises `FileNotFoundError` for a file that has gone.
        """
        if target is not None and not self.is_file:
            folders = (*self.empty_folders, *(name.rpartition("/")[0] for name in self.files))
            for folder in sorted({target / folder for folder in folders} | {target}):
                folder.mkdir(parents=True, exist_ok=True)
        names = sorted(self.files)
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            done = list(pool.map(lambda name: _read(self.files[name], _below(target, name)), names))
        if target is not None:
            sync_all([target.parent, *(Path(folder) for folder, _, _ in os.walk(target))])
        files = tuple((name, digest, size) for name, (digest, size, _) in zip(names, done, strict=True))
        return Content(self.is_file, files, self.empty_folders, frozenset(inode for _, _, inode in done))


def listing(path: Path) -> Listing:
    """A file, or a folder with all below it; what is refused is told at `store.trees.listed`."""
    found = listed(path)
    return Listing(found.is_file, {name: path / name for name in found.files}, found.empty_folders)


def bring(source: Listing, wanted: Content, target: Path) -> Content:
    """Make `target` a durable copy of `source`, which was read as `wanted`; files that are equal there already stay.

    `inodes` of the result are those of the files that were copied.
    """
    here = _content_of(target)
    if here is None or here.is_file or source.is_file:
        clear(target)
        return source.read(target)
    same = set(here.files) & set(wanted.files)
    for name, _, _ in set(here.files) - same:
        (target / name).unlink()
    for folder, _, _ in os.walk(target, topdown=False):
        if folder != str(target) and not os.listdir(folder):
            Path(folder).rmdir()
    kept = {name for name, _, _ in same}
    changed = {name: path for name, path in source.files.items() if name not in kept}
    copied = Listing(False, changed, source.empty_folders).read(target)
    return Content(False, tuple(sorted({*same, *copied.files})), source.empty_folders, copied.inodes)


def _content_of(path: Path) -> Content | None:
    """None for what is not there, or is not made of plain files and folders."""
    try:
        return listing(path).read()
    except (NotFound, RefusedInput):
        return None


def md5_of(path: Path) -> str:
    """Hex digits. Raises `FileNotFoundError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sync_all(paths: Iterable[Path]) -> None:
    """Make files, and the names in folders, durable."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        list(pool.map(sync, paths))


def clear(path: Path) -> None:
    """Remove a file or a folder with all below it; none is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writes(path: Path) -> Iterator[None]:
    """Map what the file system raises inside a block that writes `path`."""
    try:
        yield
    except OSError as error:
        detail = f"{error.filename or path}: {error.strerror or error}"
        if is_full(error):
            raise StorageFull(f"There is no room left to write {path}", got=detail, next_command="df -h") from error
        if isinstance(error, NotADirectoryError | FileExistsError | PermissionError):
            raise RefusedInput(
                f"{path} cannot be written", got=detail, allowed="a place that may be written to"
            ) from error
        raise StorageFailed(f"Writing {path} failed", got=detail, next_command="dmesg | tail") from error


def _read(source: Path, target: Path | None) -> tuple[str, int, int]:
    """Digest, size, and the inode of the copy (0 without one)."""
    hasher, size, inode = hashlib.sha256(), 0, 0
    with source.open("rb") as file:
        if target is None:
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
        else:
            with target.open("xb") as copy:
                while chunk := file.read(CHUNK_BYTES):
                    hasher.update(chunk)
                    copy.write(chunk)
                    size += len(chunk)
                copy.flush()
                os.fsync(copy.fileno())
                inode = os.fstat(copy.fileno()).st_ino
    return f"sha256:{hasher.hexdigest()}", size, inode


def _below(target: Path | None, name: str) -> Path | None:
    return target / name if target is not None and name else target
