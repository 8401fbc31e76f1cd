"""The embedded storage engine: durable writes, content-addressed blobs, migrations. Knows nothing of ML."""

from stackproof.store.blobs import Blobs, Tree, TreeFile
from stackproof.store.database import Database
from stackproof.store.files import sync_folder, write_durably
from stackproof.store.identifiers import new_id
from stackproof.store.schema import Schema
from stackproof.store.store import Store

__all__ = [
    "Blobs",
    "Database",
    "Schema",
    "Store",
    "Tree",
    "TreeFile",
    "new_id",
    "sync_folder",
    "write_durably",
]
