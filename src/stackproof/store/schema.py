"""Migrations: each part of the product owns the tables of one schema."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackproof.errors import Corrupted, RefusedInput

_TABLE = "CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, applied INTEGER NOT NULL)"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one owner. Each entry of `statements` is one migration, in order, never edited later.

    An entry may hold several SQL statements, each ended by a semicolon.
    """

    name: str
    statements: tuple[str, ...]


def migrate(connection: sqlite3.Connection, schemas: Sequence[Schema]) -> None:
    """Apply what is missing, inside the caller's transaction.

    Raises `RefusedInput` when the file was written by a later version of Stackproof, `Corrupted`
    when its table of versions does not fit its tables.
    """
    applied = _applied(connection)
    for schema in schemas:
        done = applied.get(schema.name, 0)
        if done > len(schema.statements):
            raise RefusedInput(
                f"This store was written by a later version of Stackproof (schema {schema.name!r})",
                got=f"schema version {done}",
                allowed=f"at most {len(schema.statements)}",
                next_command="pip install --upgrade stackproof",
            )
        _apply(connection, schema, done)


def _applied(connection: sqlite3.Connection) -> dict[str, int]:
    try:
        connection.execute(_TABLE)
        rows = connection.execute("SELECT name, applied FROM schema_versions").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise _damaged(error) from error
    if not all(isinstance(name, str) and isinstance(number, int) for name, number in rows):
        raise _damaged(rows)
    return dict(rows)


def _apply(connection: sqlite3.Connection, schema: Schema, done: int) -> None:
    if done == len(schema.statements):
        return
    for migration in schema.statements[done:]:
        for statement in split_statements(migration):
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", (schema.name, len(schema.statements)))


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if "already exists" not in str(error):
            raise
        raise _damaged(error) from error


def _damaged(detail: object) -> Corrupted:
    return Corrupted(
        "The store's table of versions does not fit its tables",
        got=detail,
        next_command="restore stackproof.db from a copy",
    )


def split_statements(script: str) -> Iterator[str]:
    """The SQL statements of a script. `executescript` would commit the transaction that we are in."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
    if statement.strip(" \n\t;"):
        raise RefusedInput("A migration ends in the middle of a statement", got=statement.strip()[:80])
