"""Errors of SQLite and of the file system, mapped once to those of `stackproof.errors`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stackproof.errors import Corrupted, StackproofError, StorageFailed, StorageFull, Unavailable, is_full

_PRIMARY_CODE = 0xFF


def _full(where: str, detail: object) -> StorageFull:
    return StorageFull(
        f"There is no room left to write {where}",
        got=detail,
        allowed="nothing acknowledged was lost; writing goes on once there is room",
        next_command="df -h",
    )


def _failed(where: str, detail: object) -> StorageFailed:
    return StorageFailed(
        f"Writing {where} failed, so no more is written until this process starts anew",
        got=detail,
        allowed="what was acknowledged before is kept; the write under way may or may not be",
        next_command="dmesg | tail",
    )


def corrupted(where: str, detail: object) -> Corrupted:
    """A database whose bytes are not what SQLite wrote."""
    return Corrupted(
        f"The database {where} is damaged",
        got=detail,
        allowed="a file that only Stackproof writes",
        next_command=f"restore {where} from a copy, or try: sqlite3 {where} .recover",
    )


def _busy(where: str, detail: object) -> Unavailable:
    return Unavailable(
        f"Another program holds the database {where}",
        got=detail,
        next_command=f"close the program that has it open: fuser {where}",
    )


_BY_CODE = {
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_IOERR: _failed,
    sqlite3.SQLITE_READONLY: _failed,
    sqlite3.SQLITE_CANTOPEN: _failed,
    sqlite3.SQLITE_PERM: _failed,
    sqlite3.SQLITE_CORRUPT: corrupted,
    sqlite3.SQLITE_NOTADB: corrupted,
    sqlite3.SQLITE_BUSY: _busy,
    sqlite3.SQLITE_LOCKED: _busy,
    sqlite3.SQLITE_PROTOCOL: _busy,
}


def of_sqlite(error: sqlite3.Error, path: Path) -> StackproofError | None:
    """Our error for one of SQLite's, None for a mistake of the calling code (syntax, constraint)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        undecodable = "Could not decode to UTF-8" in str(error)
        return corrupted(str(path), error) if undecodable else None
    make = _BY_CODE.get(code & _PRIMARY_CODE)
    detail = f"{getattr(error, 'sqlite_errorname', code)}: {error}"
    return make(str(path), detail) if make else None


def of_file_system(error: OSError, path: Path) -> StorageFailed:
    """Our error for a failed write, sync or rename of `path`."""
    make = _full if is_full(error) else _failed
    return make(str(path), error.strerror or error)


@contextmanager
def sqlite_errors(path: Path, on_failed: Callable[[StorageFailed], None] | None = None) -> Iterator[None]:
    """Map what SQLite raises inside the block. `on_failed` hears of a write that is beyond retrying."""
    try:
        yield
    except sqlite3.Error as error:
        mapped = of_sqlite(error, path)
        if mapped is None:
            raise
        if on_failed is not None and type(mapped) is StorageFailed:
            on_failed(mapped)
        raise mapped from error


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Map what the file system raises inside a block that writes `path`."""
    try:
        yield
    except OSError as error:
        raise of_file_system(error, path) from error
