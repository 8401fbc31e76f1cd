"""Feast and what comes with it, found in its environment; its repositories' settings; its errors in our words."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.adapters.tool_modules import imported
from stackproof.errors import Conflict, Corrupted, StorageFailed, StorageFull, Unavailable, is_full

REGISTRY, ONLINE_DATABASE, CONNECTION = "registry.db", "online.db", "connection_string"
OFFLINE_STORE = "duckdb"
"""Feast's other local store, dask, leaves out rows that are given twice, and turns NaN into a missing value."""
DEFINITIONS = """\
# Written by Stackproof: what it has materialized, so that `feast apply` keeps it.
from pathlib import Path

from feast import FeatureStore

_store = FeatureStore(repo_path=str(Path(__file__).parent))
for _kept in (*_store.list_entities(), *_store.list_feature_views()):
    globals()[f"{type(_kept).__name__}_{_kept.name}"] = _kept
"""


def tool_module(module: str) -> Any:
    """A module of the tool's environment. Raises `NotFound`."""
    return imported(module, "Feast", "'feast[duckdb,grpcio,redis]' pyarrow")


@dataclass(frozen=True, slots=True)
class Place:
    """A Feast repository: its folder, its project, and the settings of an online store other than its own SQLite."""

    root: Path
    project: str
    online_store: dict[str, str]

    def store(self, registry: str) -> Any:
        """A `feast.FeatureStore` over this registry file of the folder, which it reads once."""
        feast = tool_module("feast")
        kept = {
            "path": str(self.root / registry),
            "cache_ttl_seconds": 0,
            "enable_online_feature_view_versioning": True,
        }
        return feast.FeatureStore(
            config=feast.RepoConfig(
                project=self.project,
                provider="local",
                registry=kept,
                online_store=self.online_store or {"type": "sqlite", "path": str(self.root / ONLINE_DATABASE)},
                offline_store={"type": OFFLINE_STORE},
                entity_key_serialization_version=3,
                repo_path=self.root,
            )
        )

    def write_settings(self) -> None:
        """The files with which Feast's own command line opens the repository; a password stays out of them."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name, text in (("feature_store.yaml", self._settings()), ("materialized_views.py", DEFINITIONS)):
            path = self.root / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                written = path.with_name(f".{name}.{os.getpid()}")
                written.write_text(text, encoding="utf-8")
                written.replace(path)

    def _settings(self) -> str:
        online = dict(self.online_store) or {"type": "sqlite", "path": ONLINE_DATABASE}
        if CONNECTION in online:
            address = online[CONNECTION].split(",")
            hidden = ("password=${REDIS_PASSWORD}" if part.startswith("password=") else part for part in address)
            online[CONNECTION] = json.dumps(",".join(hidden))
        return "\n".join([
            f"project: {self.project}",
            "provider: local",
            "registry:",
            f"  path: {REGISTRY}",
            "  cache_ttl_seconds: 60",
            "  enable_online_feature_view_versioning: true",
            "online_store:",
            *(f"  {name}: {value}" for name, value in online.items()),
            "offline_store:",
            f"  type: {OFFLINE_STORE}",
            "entity_key_serialization_version: 3",
            "",
        ])  # fmt: skip


def place_of(home: Path, options: Mapping[str, str]) -> Place:
    """The repository below an adapter's home, as its options name it."""
    online = {}
    if options["online_store"] == "redis":
        online = {"type": "redis", CONNECTION: options[CONNECTION]}
    return Place(home / "feast", options["project"], online)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """What goes wrong in the tool, as one of our errors. `doing` completes "Feast can't ..."."""
    feast, redis, duckdb = (tool_module(name) for name in ("feast.errors", "redis.exceptions", "duckdb"))
    unreadable = tool_module("google.protobuf.message").DecodeError
    try:
        yield
    except redis.RedisError as failed:
        raise Unavailable(
            f"Feast can't {doing}: Redis does not answer as it should", got=_words(failed),
            allowed="a Redis server at the address in connection_string",
        ) from failed  # fmt: skip
    except (OSError, sqlite3.Error) as failed:
        full = "disk is full" in str(failed) or is_full(failed)
        raise (StorageFull if full else StorageFailed)(f"Feast can't {doing}", got=_words(failed)) from failed
    except unreadable as damaged:
        raise Corrupted(f"Feast can't {doing}: its registry is damaged", got=_words(damaged)) from damaged
    except (feast.FeastError, duckdb.Error, ValueError, TypeError, LookupError) as failed:
        raise Conflict(f"Feast can't {doing}", got=_words(failed)) from failed


def _words(failed: BaseException) -> str:
    first = (str(failed).splitlines() or [""])[0]
    return f"{type(failed).__name__}: {first}" if first else type(failed).__name__
