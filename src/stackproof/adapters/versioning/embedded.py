"""Versions of files and folders by content, in the home folder."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import ClassVar

from stackproof.adapters.versioning.naming import check_name, check_one, damaged, difference, digits_of
from stackproof.errors import Corrupted, NotFound, StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.versioning import DatasetVersion, Difference
from stackproof.store import Blobs, Schema, Store, Tree

BLOBS_FOLDER = "versions"
_COLUMNS = "name, digest, files, size, created_at"
SCHEMA = Schema(
    "versioning",
    (
        """
        CREATE TABLE dataset_versions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, digest TEXT NOT NULL,
            files INTEGER NOT NULL, size INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (name, digest)
        );
        CREATE TABLE dataset_blobs (
            version TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (version, blob)
        ) WITHOUT ROWID;
        CREATE INDEX dataset_blobs_by_blob ON dataset_blobs (blob);
        CREATE TABLE dataset_blobs_removed (blob TEXT PRIMARY KEY);
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class _Kept:
    database: Store
    blobs: Blobs


def now() -> datetime:
    return datetime.now(UTC)


class EmbeddedSnapshots:
    """Fills the role `versioning`. Equal files are kept once, whatever versions hold them.

    The files have a folder of their own, so that removing a version never touches what others keep.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"snapshot"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting, clock: Callable[[], datetime] = now) -> None:
        self._home = setting.home
        self._clock = clock
        self._lock = Lock()
        self._opened: _Kept | None = None

    def health(self) -> Health:
        release = version("stackproof")
        try:
            count = len(self.versions())
        except StackproofError as problem:
            return Health(ok=False, version=release, detail=str(problem))
        return Health(ok=True, version=release, detail=f"{count} dataset versions")

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.database.close()
            self._opened = None

    def snapshot(self, name: str, path: Path) -> DatasetVersion:
        check_name(name)
        kept = self._kept()
        tree = kept.blobs.put_tree(path)
        with kept.database.database.transaction() as connection:
            if not all(kept.blobs.contains(blob) for blob in _blobs(tree)):
                tree = kept.blobs.put_tree(path)
            _insert(connection, name, tree, self._clock())
            return _matching(connection, name, tree.digest.removeprefix("sha256:"))[0]

    def versions(self, name: str | None = None) -> list[DatasetVersion]:
        if name is not None:
            check_name(name)
        with self._kept().database.database.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM dataset_versions WHERE ? IS NULL OR name = ? ORDER BY number",  # noqa: S608  # our own column names
                (name, name),
            ).fetchall()
        return [_version(row) for row in rows]

    def get(self, name: str, digest: str) -> DatasetVersion:
        with self._kept().database.database.read() as connection:
            return _get(connection, name, digest)

    def restore(self, name: str, digest: str, into: Path) -> Path:
        found = self.get(name, digest)
        try:
            return self._kept().blobs.restore_tree(found.digest, into)
        except (NotFound, Corrupted) as broken:
            raise damaged(found, str(broken)) from broken

    def diff(self, name: str, older: str, newer: str) -> Difference:
        return difference(*(self._files(self.get(name, digest)) for digest in (older, newer)))

    def remove(self, name: str, digest: str) -> None:
        kept = self._kept()
        with kept.database.database.transaction() as connection:
            found = _get(connection, name, digest)
            connection.execute("DELETE FROM dataset_versions WHERE name = ? AND digest = ?", (name, found.digest))
            _list_unused(connection, found.digest)
        self._delete_removed(kept)

    def _files(self, found: DatasetVersion) -> dict[str, str]:
        try:
            tree = self._kept().blobs.tree(found.digest)
        except (NotFound, Corrupted) as broken:
            raise damaged(found, str(broken)) from broken
        return {file.name or found.name: file.digest for file in tree.files}

    def _delete_removed(self, kept: _Kept) -> None:
        """Under the writer's lock, so that no snapshot is about to use one of the files again."""
        with kept.database.database.transaction() as connection:
            unused = connection.execute(
                "SELECT blob FROM dataset_blobs_removed WHERE blob NOT IN (SELECT blob FROM dataset_blobs)"
            ).fetchall()
            for (blob,) in unused:
                kept.blobs.delete(blob)
            connection.execute("DELETE FROM dataset_blobs_removed")

    def _kept(self) -> _Kept:
        with self._lock:
            if self._opened is None:
                self._opened = _Kept(Store.open(self._home, SCHEMA), Blobs(self._home / BLOBS_FOLDER))
            return self._opened


def _insert(connection: sqlite3.Connection, name: str, tree: Tree, created_at: datetime) -> None:
    """The version when it is new; the first `created_at` stays."""
    connection.execute(
        f"INSERT OR IGNORE INTO dataset_versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608  # our own column names
        (name, tree.digest, len(tree.files), tree.size, created_at.isoformat()),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO dataset_blobs VALUES (?, ?)", [(tree.digest, blob) for blob in _blobs(tree)]
    )


def _blobs(tree: Tree) -> set[str]:
    """The description of the tree, and its files."""
    return {tree.digest, *(file.digest for file in tree.files)}


def _list_unused(connection: sqlite3.Connection, digest: str) -> None:
    """When no version has this content any more, list its files for deletion."""
    if connection.execute("SELECT 1 FROM dataset_versions WHERE digest = ?", (digest,)).fetchone():
        return
    connection.execute(
        "INSERT OR IGNORE INTO dataset_blobs_removed SELECT blob FROM dataset_blobs WHERE version = ?", (digest,)
    )
    connection.execute("DELETE FROM dataset_blobs WHERE version = ?", (digest,))


def _get(connection: sqlite3.Connection, name: str, digest: str) -> DatasetVersion:
    check_name(name)
    found = _matching(connection, name, digits_of(digest))
    query = "SELECT DISTINCT name FROM dataset_versions ORDER BY name"
    check_one(name, digest, found, lambda: [row[0] for row in connection.execute(query)])
    return found[0]


def _matching(connection: sqlite3.Connection, name: str, digits: str) -> list[DatasetVersion]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM dataset_versions WHERE name = ? AND digest GLOB ? ORDER BY number",  # noqa: S608  # our own column names
        (name, f"sha256:{digits}*"),
    )
    return [_version(row) for row in rows]


def _version(row: tuple[str, str, int, int, str]) -> DatasetVersion:
    name, digest, files, size, created_at = row
    return DatasetVersion(name, digest, files, size, datetime.fromisoformat(created_at))
