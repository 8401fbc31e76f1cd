"""A file or folder as content: what lies in it, and the text that its digest is made of. The standard library alone."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stackproof.errors import NotFound, RefusedInput


@dataclass(frozen=True, slots=True)
class Listed:
    """Names, sorted, with "/" between the parts; a file on its own has the name "". `empty_folders` have no entry."""

    is_file: bool
    files: tuple[str, ...]
    empty_folders: tuple[str, ...] = ()


def listed(path: Path) -> Listed:
    """A file, or a folder with all below it. Symbolic links are refused, not followed.

    Raises `NotFound`, and `RefusedInput` for links, sockets and names that are not UTF-8.
    """
    if path.is_symlink():
        raise _refused(path)
    if path.is_file():
        return Listed(True, ("",))
    if not path.is_dir():
        raise no_file(path)
    files: list[str] = []
    empty_folders: list[str] = []
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as scan:
            entries = list(scan)
        if not entries and folder != path:
            empty_folders.append(_name(folder, path))
        for entry in entries:
            place = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(place)
            elif entry.is_file(follow_symlinks=False):
                files.append(_name(place, path))
            else:
                raise _refused(place)
    return Listed(False, tuple(sorted(files)), tuple(sorted(empty_folders)))


def description(found: Listed, contents: Iterable[tuple[str, int]]) -> bytes:
    """The text whose SHA-256 is the digest of a tree. `contents`: the digest and size of each file, by name."""
    files = [[name, digest, size] for name, (digest, size) in zip(found.files, contents, strict=True)]
    told = {"empty_folders": found.empty_folders, "files": files, "is_file": found.is_file}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def no_file(path: Path) -> NotFound:
    return NotFound("There is no such file or folder", got=path)


def _name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RefusedInput("A file name is not UTF-8", got=ascii(name), allowed="names in UTF-8") from None
    return name


def _refused(path: Path) -> RefusedInput:
    return RefusedInput(
        "Only plain files and folders can be kept",
        got=path,
        allowed="files and folders; replace a symbolic link by what it points to",
    )
