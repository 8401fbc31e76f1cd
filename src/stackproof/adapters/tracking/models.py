"""The model registry of the embedded tracking."""

import sqlite3
from typing import Any

from stackproof.errors import NotFound
from stackproof.roles.tracking import ModelVersion
from stackproof.store.instants import from_us


def read_models(connection: sqlite3.Connection, condition: str = "TRUE", *arguments: str | int) -> list[ModelVersion]:
    """The versions that fulfil a condition, by name, then version."""
    query = f"""SELECT name, version, run_id, digest, created_at FROM model_versions
        WHERE {condition} ORDER BY name, version"""  # noqa: S608  # conditions are constants of this package
    return [_version(connection, row) for row in connection.execute(query, arguments).fetchall()]


def _version(connection: sqlite3.Connection, row: tuple[Any, ...]) -> ModelVersion:
    name, version, run_id, digest, created_at = row
    aliases = connection.execute(
        "SELECT alias FROM model_aliases WHERE name = ? AND version = ? ORDER BY alias", (name, version)
    )
    return ModelVersion(name, version, run_id, digest, from_us(created_at), tuple(alias for (alias,) in aliases))


def read_model(connection: sqlite3.Connection, name: str, version: int | str) -> ModelVersion:
    """By number, or by alias. Raises `NotFound`."""
    condition = "name = ? AND version = ?"
    if isinstance(version, str):
        condition = (
            "name = ? AND version = (SELECT version FROM model_aliases WHERE name = model_versions.name AND alias = ?)"
        )
    found = read_models(connection, condition, name, version)
    if not found:
        raise _no_model(connection, name, version)
    return found[0]


def _no_model(connection: sqlite3.Connection, name: str, version: int | str) -> NotFound:
    known = read_models(connection, "name = ?", name)
    numbers = [str(model.version) for model in known]
    aliases = [alias for model in known for alias in model.aliases]
    what = f"an alias {version!r}" if isinstance(version, str) else f"a version {version}"
    return NotFound(
        f"The model {name!r} has not {what}" if known else f"No model is registered as {name!r}",
        allowed=", ".join(numbers + aliases) if known else None,
    )


def add_model(connection: sqlite3.Connection, name: str, run_id: str, digest: str, created_at_us: int) -> ModelVersion:
    """The version with these bytes from this run, made when there is none."""
    same = read_models(connection, "name = ? AND digest = ? AND run_id = ?", name, digest, run_id)
    if same:
        return same[0]
    connection.execute(
        """INSERT INTO model_versions
            SELECT ?, 1 + coalesce(max(version), 0), ?, ?, ? FROM model_versions WHERE name = ?""",
        (name, run_id, digest, created_at_us, name),
    )
    return read_models(connection, "name = ? AND digest = ? AND run_id = ?", name, digest, run_id)[0]
