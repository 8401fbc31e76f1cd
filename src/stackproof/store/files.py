"""Files that are durable when the call returns."""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from stackproof.errors import RefusedInput, StorageFailed
from stackproof.store.failures import write_errors


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable. For code that maps `OSError` itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises `StorageFailed`."""
    with write_errors(path):
        sync(path)


def make_folders(path: Path) -> None:
    """Make a folder and its parents, durably.

    Raises `RefusedInput` for a place where no folder can be, `StorageFailed`.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        with write_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    except StorageFailed as failed:
        if isinstance(failed.__cause__, NotADirectoryError | FileExistsError | PermissionError):
            raise RefusedInput(
                "A folder cannot be made there",
                got=f"{path}: {failed.__cause__.strerror}",
                allowed="a place that may be written to",
            ) from failed
        raise
    for folder in missing:
        sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, replacing an older one. The folder must exist.

    Raises `StorageFull` or `StorageFailed`; the older file is then as it was.
    """
    unfinished = path.with_name(f".{path.name[:100]}.{uuid4().hex}.tmp")
    with write_errors(path):
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)
