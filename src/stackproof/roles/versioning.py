"""Versioning: datasets as versions by content.

Capabilities: "snapshot" (`Snapshots`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """The content of a file or folder at one time.

    `digest`: "sha256:" and 64 hex digits, of the content alone (names and bytes, not times), so
    that equal content has an equal digest everywhere. `files`: how many; `size`: bytes in all.
    """

    name: str
    digest: str
    files: int
    size: int
    created_at: datetime

    @property
    def id(self) -> str:
        return f"data:{self.name}@{self.digest.removeprefix('sha256:')[:12]}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Relative file names, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


class Snapshots(Protocol):
    """Capability "snapshot". A version, named by digest or by a prefix of it of at least 6 digits."""

    def snapshot(self, name: str, path: Path) -> DatasetVersion:
        """Keep the file or folder at `path` as a version of `name`. Durable when it returns.

        The content seen before returns its version with its first `created_at`. Raises `NotFound`
        when `path` does not exist, `RefusedInput` for a name that is not lower-case letters, digits,
        "-", "_" and ".".
        """
        ...

    def versions(self, name: str | None = None) -> list[DatasetVersion]:
        """Oldest first; of every name when None."""
        ...

    def get(self, name: str, digest: str) -> DatasetVersion:
        """Raises `NotFound`; `RefusedInput` for a prefix that several versions share."""
        ...

    def restore(self, name: str, digest: str, into: Path) -> Path:
        """Write the version to `into`, which must not exist, and return it: a file or a folder, as it was.

        Every byte is verified. Raises `Conflict` when `into` exists, `Corrupted` when stored bytes
        changed or are gone; then nothing is left behind.
        """
        ...

    def diff(self, name: str, older: str, newer: str) -> Difference:
        """What changed between two versions; for single files the file's name is the dataset's."""
        ...

    def remove(self, name: str, digest: str) -> None:
        """Forget a version and free what no other uses. Raises `NotFound`."""
        ...
