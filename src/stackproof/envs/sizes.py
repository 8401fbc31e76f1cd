"""What folders take on the disk, where files may be hard links that other folders and uv's cache have too."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK = 512
"""The unit of `st_blocks`, whatever the file system's own is."""


def disk_bytes(folders: Iterable[Path]) -> int:
    """What the folders hold together: each file once, however many names it has. Folders that are gone hold 0."""
    return sum({(s.st_dev, s.st_ino): s.st_blocks * BLOCK for f in folders for s in _entries(f)}.values())


def freed_bytes(folders: Iterable[Path]) -> int:
    """What the disk gets back when all the folders are removed: files that nothing else links to.

    A file that uv's cache has as well stays on the disk until the cache is cleaned.
    """
    links: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], os.stat_result] = {}
    for folder in folders:
        for status in _entries(folder):
            identity = status.st_dev, status.st_ino
            links[identity] = links.get(identity, 0) + 1
            found[identity] = status
    return sum(
        status.st_blocks * BLOCK
        for identity, status in found.items()
        if stat.S_ISDIR(status.st_mode) or links[identity] >= status.st_nlink
    )


def _entries(folder: Path) -> Iterator[os.stat_result]:
    """Of the folder and all below it, links not followed. What vanishes meanwhile is left out."""
    waiting = [os.fspath(folder)]
    while waiting:
        path = waiting.pop()
        try:
            yield os.lstat(path)
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
