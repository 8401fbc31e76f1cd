"""What a file or folder holds, told by one digest: the same one that the embedded store gives it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import mkdtemp

from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput


@dataclass(frozen=True, slots=True)
class Content:
    """`files` and `empty_folders` by name, relative, with "/"; a file on its own has the name "". `size` in bytes.

    `digest` is "sha256:…" of a file's bytes; for a folder, of the names and digests of all below it.
    """

    is_file: bool
    digest: str
    size: int
    files: tuple[str, ...]
    empty_folders: tuple[str, ...]


def content_of(path: Path) -> Content:
    """Reads every byte. Raises `NotFound`; `RefusedInput` for links, sockets and names that are not UTF-8."""
    if path.is_symlink():
        raise _refused(path)
    if path.is_file():
        return Content(True, _digest_of(path), path.stat().st_size, ("",), ())
    if not path.is_dir():
        raise NotFound("There is no such file or folder", got=path)
    files, empty_folders = _listed(path)
    described = [[name, _digest_of(path / name), (path / name).stat().st_size] for name in files]
    data = {"empty_folders": empty_folders, "files": described, "is_file": False}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    size = sum((path / name).stat().st_size for name in files)
    digest = "sha256:" + sha256(text.encode()).hexdigest()
    return Content(False, digest, size, tuple(files), tuple(empty_folders))


def fetched(into: Path, digest: str, download: Callable[[Path], Path]) -> Path:
    """What `download` puts below a new folder that it is given, moved to `into` once its content is verified.

    An empty `digest` verifies nothing. Raises `Conflict` when `into` exists, and `Corrupted`; then nothing is left.
    """
    if into.exists() or into.is_symlink():
        raise Conflict("The place to restore to exists already", got=into, allowed="a path that does not exist")
    nearest = next(folder for folder in into.absolute().parents if folder.exists())
    unfinished = Path(mkdtemp(prefix=".stackproof-", dir=nearest))
    try:
        found = download(unfinished)
        if digest and content_of(found).digest != digest:
            raise Corrupted(
                "The stored bytes have changed",
                got=content_of(found).digest,
                allowed=digest,
                next_command="log the original again: it replaces the damaged one; or restore a backup",
            )
        into.parent.mkdir(parents=True, exist_ok=True)
        found.rename(into)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return into


def _listed(root: Path) -> tuple[list[str], list[str]]:
    files, empty_folders = [], []
    for entry in sorted(root.rglob("*")):
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise _refused(entry)
        if entry.is_file():
            files.append(_name(entry, root))
        elif not any(entry.iterdir()):
            empty_folders.append(_name(entry, root))
    return sorted(files), sorted(empty_folders)


def _name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RefusedInput("A file name is not UTF-8", got=ascii(name), allowed="names in UTF-8") from None
    return name


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + file_digest(file, "sha256").hexdigest()


def _refused(path: Path) -> RefusedInput:
    return RefusedInput(
        "Only plain files and folders can be kept",
        got=path,
        allowed="files and folders; replace a symbolic link by what it points to",
    )
