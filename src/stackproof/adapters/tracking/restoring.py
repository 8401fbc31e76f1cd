"""Content that was kept as a tree of blobs, written out again."""

from contextlib import suppress
from pathlib import Path

from stackproof.errors import Corrupted, NotFound, StackproofError
from stackproof.store import Blobs


def restored(blobs: Blobs, tree: str, into: Path) -> Path:
    """`into`, which must not exist. Raises `Conflict`, `Corrupted`; then no folder above it is left behind either."""
    new_folders = [folder for folder in into.parents if not folder.exists()]
    try:
        return blobs.restore_tree(tree, into)
    except StackproofError as failure:
        for folder in new_folders:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(failure, NotFound):
            raise Corrupted(failure.what, next_command=failure.next_command) from failure
        raise
