"""A Feast repository in which each materialization is a version of its feature view.

Feast keeps its registry in one file, and the online rows of each version of a view apart. A materialization writes
its rows as a new version beside the served one, under a copy of the registry. That copy, whole and synced, then takes
the registry's place: until then a reader sees all of the old, from then on all of the new. What was replaced is
deleted afterwards; a crash leaves it to the next materialization.

A reader that finds another registry after its answer than before asks again, for its rows may be gone meanwhile.
"""

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from stackproof.adapters.features.feast_changes import Changes
from stackproof.adapters.features.feast_library import ONLINE_DATABASE, REGISTRY, Place, told, tool_module
from stackproof.adapters.features.feast_rows import online_rows, write_source
from stackproof.adapters.features.feast_served import Content, Served, content_of, definitions, instant_of, served_by
from stackproof.adapters.features.feast_snapshot import Snapshot
from stackproof.errors import NotFound, RefusedInput, StackproofError
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization
from stackproof.store.files import sync

NEXT, REPLACED = "registry.next.db", "registry.replaced.db"
BATCH_ROWS = 1000


class Repository:
    """Writes, lists and reads materializations; many threads and processes may do so at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._sources = place.root / "materialized"
        self._lock = threading.Lock()
        self._writer = threading.Lock()
        self._held: Snapshot | None = None
        with told("make its repository"):
            self._prepare()

    def close(self) -> None:
        with self._lock:
            if self._held is not None:
                self._held.close()
            self._held = None

    def materialize(
        self, view: FeatureView, changes: Changes, version: str, kinds: Mapping[str, str]
    ) -> Materialization:
        """`kinds`: of each key column, as `key_kind` names them."""
        content = content_of(view, changes)
        with self._writing(), told(f"materialize the view {view.name!r}"):
            self._delete_what_is_not_served()
            generation = max((s.generation for s in self._served(REGISTRY).values()), default=0) + 1
            served = Served.new(view, changes, version, generation, kinds)
            if (self._place.root / REGISTRY).exists():
                shutil.copyfile(self._place.root / REGISTRY, self._place.root / NEXT)
            self._write(served, changes, content)
            self._put_in_place()
        with suppress(StackproofError), self._writing(), told("delete what was replaced"):
            self._delete_what_is_not_served()
        return served.materialization()

    def materialized(self) -> list[Materialization]:
        """By view name."""
        served = self._snapshot().served
        return [served[name].materialization() for name in sorted(served)]

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        while True:
            snapshot = self._snapshot()
            if view not in snapshot.served:
                raise _never_materialized(view, sorted(snapshot.served))
            try:
                found = snapshot.lookup(view, requests)
            except RefusedInput:
                raise
            except StackproofError:
                if self._is_current(snapshot):
                    raise
                continue
            if self._is_current(snapshot):
                return found

    # Reading

    def _snapshot(self) -> Snapshot:
        """What the registry says now, loaded anew when any process has materialized since."""
        with self._lock:
            if self._held is None or not self._is_current(self._held):
                signature = self._signature()
                with told("read its registry"):
                    store = None if signature is None else self._place.store(REGISTRY)
                    self._held = Snapshot(store, self._sources, signature)
            return self._held

    def _is_current(self, snapshot: Snapshot) -> bool:
        return snapshot.signature == self._signature()

    def _signature(self) -> object:
        with suppress(FileNotFoundError):
            status = (self._place.root / REGISTRY).stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    # Writing

    def _prepare(self) -> None:
        self._sources.mkdir(parents=True, exist_ok=True)
        self._place.write_settings()
        if not self._place.online_store:
            with closing(sqlite3.connect(self._place.root / ONLINE_DATABASE)) as database:
                database.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time, of all threads and processes."""
        with self._writer, (self._place.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, served: Served, changes: Changes, content: Content) -> None:
        """The version with its source, its definition and all its online rows, under the next registry."""
        store, source = self._place.store(NEXT), self._sources / served.file
        write_source(served, changes, content, source)
        if served.view.name in served_by(store):
            store.registry.delete_feature_view(served.view.name, store.project)
        *entities, made = definitions(store, served, content, source)
        made.current_version_number = served.generation
        _delete_rows(store, made)  # of a repository that was here before
        store.apply([*entities, made])
        made = store.get_feature_view(served.view.name)
        rows = online_rows(served, changes, content)
        for start in range(0, len(rows), BATCH_ROWS):
            store.provider.online_write_batch(store.config, made, rows[start : start + BATCH_ROWS], progress=None)
        if served.watermark is not None:
            interval = instant_of(int(changes.at.min())), instant_of(served.watermark)
            store.registry.apply_materialization(made, store.project, *interval)
        with closing(Snapshot(store, self._sources, None)) as written:
            written.verify(served.view.name)

    def _put_in_place(self) -> None:
        root = self._place.root
        sync(root / NEXT)
        if (root / REGISTRY).exists():
            os.link(root / REGISTRY, root / REPLACED)
        (root / NEXT).replace(root / REGISTRY)
        for folder in (root, self._sources):
            sync(folder)

    def _delete_what_is_not_served(self) -> None:
        """Versions that were replaced, or that never came to be served; and files of neither.

        A crash may have left half a registry: its rows are deleted when their version is written again.
        """
        root = self._place.root
        current = self._served(REGISTRY)
        for leftover in (REPLACED, NEXT):
            if (root / leftover).exists():
                with suppress(tool_module("google.protobuf.message").DecodeError, ValueError, LookupError):
                    store = self._place.store(leftover)
                    for name, served in served_by(store).items():
                        if current.get(name) != served:
                            _delete_rows(store, store.get_feature_view(name))
                (root / leftover).unlink()
        kept = {served.file for served in current.values()}
        for file in self._sources.iterdir():
            if file.name not in kept:
                file.unlink()

    def _served(self, registry: str) -> dict[str, Served]:
        return served_by(self._place.store(registry)) if (self._place.root / registry).exists() else {}


def _delete_rows(store: Any, view: Any) -> None:
    """The online rows of one version of a feature view."""
    store.provider.update_infra(
        project=store.project,
        tables_to_delete=[view],
        tables_to_keep=[],
        entities_to_delete=[],
        entities_to_keep=[],
        partial=True,
    )


def _never_materialized(view: str, names: list[str]) -> NotFound:
    return NotFound(
        f"The feature view {view!r} was never materialized",
        allowed=", ".join(names) or "none was materialized yet",
        next_command=f"stackproof features {view}",
    )
