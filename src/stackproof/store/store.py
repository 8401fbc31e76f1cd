"""The store of one home folder: its database and its blobs."""

from pathlib import Path

from stackproof.store.blobs import Blobs
from stackproof.store.database import Database
from stackproof.store.schema import Schema

DATABASE_FILE = "stackproof.db"
BLOBS_FOLDER = "blobs"


class Store:
    """`database` is shared by all stores of one home in a process; `blobs` holds what is large."""

    def __init__(self, home: Path, database: Database) -> None:
        """Use `Store.open`."""
        self.home = home
        self.database = database
        self.blobs = Blobs(home / BLOBS_FOLDER)
        self._closed = False

    @staticmethod
    def open(home: Path, *schemas: Schema) -> "Store":
        """Open or make the store below `home`. Raises what `Database.open` raises."""
        return Store(home, Database.open(home / DATABASE_FILE, *schemas))

    def close(self) -> None:
        """Flush, and release. Idempotent. Raises what `Database.flush` raises."""
        if not self._closed:
            self._closed = True
            self.database.close()
