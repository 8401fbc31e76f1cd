"""What a file or folder holds, told by one digest: the same one that the embedded store gives it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import mkdtemp

from stackproof.errors import Conflict, Corrupted
from stackproof.store.trees import description, listed


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
    found = listed(path)
    contents = [(_digest_of(path / name), (path / name).stat().st_size) for name in found.files]
    digest = contents[0][0] if found.is_file else "sha256:" + sha256(description(found, contents)).hexdigest()
    return Content(found.is_file, digest, sum(size for _, size in contents), found.files, found.empty_folders)


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


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + file_digest(file, "sha256").hexdigest()
