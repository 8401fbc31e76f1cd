from collections.abc import Iterator
from pathlib import Path

import pytest

from stackproof.store import Blobs, Database, Schema

NOTES = Schema("notes", ("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",))


@pytest.fixture
def notes() -> Schema:
    return NOTES


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "store" / "test.db", NOTES)
    yield database
    database.close()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")
