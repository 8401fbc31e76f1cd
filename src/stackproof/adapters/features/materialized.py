"""Materializations on disk: a columnar file for each, and one row that says which counts.

The file is durable before the row names it, so a reader finds all of the old or all of the new.
What a newer one replaced is listed in the same transaction and deleted afterwards; a crash between
the two leaves a file that the next materialization deletes.
"""

import io
import json
import sqlite3
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from stackproof.adapters.features.changes import micros
from stackproof.adapters.features.index import Served
from stackproof.errors import Corrupted, NotFound
from stackproof.roles.features import Aggregate, Feature, FeatureView
from stackproof.store import Blobs, Schema, Store
from stackproof.store.tables import read_table

BLOBS_FOLDER = "features"
SCHEMA = Schema(
    "features",
    (
        """
        CREATE TABLE feature_materializations (
            view TEXT PRIMARY KEY, generation INTEGER NOT NULL, version TEXT NOT NULL, rows INTEGER NOT NULL,
            watermark INTEGER, digest TEXT NOT NULL, definition TEXT NOT NULL
        );
        CREATE TABLE feature_replaced (digest TEXT PRIMARY KEY);
        """,
    ),
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The row of one view. `generation` grows by one with each materialization of the view."""

    generation: int
    served: Served
    rows: int
    digest: str


class Materialized:
    """Writes, lists and reads materializations; many threads and processes may do so at once."""

    def __init__(self, home: Path) -> None:
        self._store = Store.open(home, SCHEMA)
        self._blobs = Blobs(home / BLOBS_FOLDER)

    def close(self) -> None:
        self._store.close()

    def replace(self, served: Served, rows: int, table: pl.DataFrame) -> None:
        """Durable, and what every reader sees, when it returns."""
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd", compression_level=1)
        content = buffer.getvalue()
        digest = self._blobs.put_bytes(content)
        with self._store.database.transaction() as connection:
            if not self._blobs.contains(digest):
                self._blobs.put_bytes(content)
            _commit(connection, served, rows, digest)
        self._delete_replaced()

    def generation(self, view: str) -> int | None:
        """Which materialization of the view counts now; None for none."""
        with self._store.database.read() as connection:
            row = connection.execute(
                "SELECT generation FROM feature_materializations WHERE view = ?", (view,)
            ).fetchone()
        return None if row is None else int(row[0])

    def manifests(self) -> list[Manifest]:
        """By view name."""
        with self._store.database.read() as connection:
            rows = connection.execute(
                "SELECT generation, version, rows, watermark, digest, definition"
                " FROM feature_materializations ORDER BY view"
            ).fetchall()
        return [_manifest(row) for row in rows]

    def load(self, view: str) -> tuple[Manifest, pl.DataFrame]:
        """What counts now, verified. Raises `NotFound` for a view never materialized, `Corrupted`."""
        manifest = self._manifest(view)
        while True:
            try:
                return manifest, read_table(self._blobs.path(manifest.digest))
            except (NotFound, Corrupted) as unreadable:
                current = self._manifest(view)
                if current.generation == manifest.generation:
                    raise _unreadable(view, manifest, unreadable) from unreadable
                manifest = current

    def _manifest(self, view: str) -> Manifest:
        with self._store.database.read() as connection:
            row = connection.execute(
                "SELECT generation, version, rows, watermark, digest, definition"
                " FROM feature_materializations WHERE view = ?",
                (view,),
            ).fetchone()
            names = [name for (name,) in connection.execute("SELECT view FROM feature_materializations ORDER BY view")]
        if row is None:
            raise _never_materialized(view, names)
        return _manifest(row)

    def _delete_replaced(self) -> None:
        """Under the writer's lock, so that no one is about to name the same file."""
        with self._store.database.transaction() as connection:
            replaced = connection.execute(
                "SELECT digest FROM feature_replaced WHERE digest NOT IN (SELECT digest FROM feature_materializations)"
            ).fetchall()
            for (digest,) in replaced:
                self._blobs.delete(digest)
            connection.execute("DELETE FROM feature_replaced")


def _never_materialized(view: str, names: list[str]) -> NotFound:
    return NotFound(
        f"The feature view {view!r} was never materialized",
        allowed=", ".join(names) or "none was materialized yet",
        next_command=f"stackproof features {view}",
    )


def _commit(connection: sqlite3.Connection, served: Served, rows: int, digest: str) -> None:
    name = served.view.name
    old = connection.execute(
        "SELECT generation, digest FROM feature_materializations WHERE view = ?", (name,)
    ).fetchone()
    if old is not None:
        connection.execute("INSERT OR IGNORE INTO feature_replaced VALUES (?)", (old[1],))
    definition = _encode(served.view)
    connection.execute(
        "INSERT OR REPLACE INTO feature_materializations VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, 1 if old is None else old[0] + 1, served.version, rows, served.watermark, digest, definition),
    )


def _unreadable(view: str, manifest: Manifest, cause: Exception) -> Corrupted:
    return Corrupted(
        f"The materialization of the feature view {view!r} is damaged",
        got=str(cause),
        allowed=f"the table {manifest.digest}",
        next_command=f"stackproof features {view}",
    )


def _manifest(row: tuple[int, str, int, int | None, str, str]) -> Manifest:
    generation, version, rows, watermark, digest, definition = row
    return Manifest(generation, Served(_decode(definition), version, watermark), rows, digest)


def _encode(view: FeatureView) -> str:
    fields = asdict(view)
    for span in ("window", "max_age"):
        fields[span] = None if fields[span] is None else micros(fields[span])
    return json.dumps(fields)


def _decode(definition: str) -> FeatureView:
    fields = json.loads(definition)
    for span in ("window", "max_age"):
        fields[span] = None if fields[span] is None else timedelta(microseconds=fields[span])
    features = tuple(
        Feature(f["name"], f["column"], None if f["aggregate"] is None else Aggregate(f["aggregate"]))
        for f in fields.pop("features")
    )
    return FeatureView(**(fields | {"entity": tuple(fields["entity"]), "features": features}))
