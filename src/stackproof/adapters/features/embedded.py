"""Features on Polars, without a server: point-in-time joins, and lookups in memory over durable files."""

import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

import polars as pl

from stackproof.adapters.arrow_tables import no_table
from stackproof.adapters.features.changes import changes_of
from stackproof.adapters.features.definitions import check_rows, check_source
from stackproof.adapters.features.frame_columns import columns_of
from stackproof.adapters.features.index import Served, ViewIndex, columnar, instant_of
from stackproof.adapters.features.joining import join
from stackproof.adapters.features.materialized import Materialized
from stackproof.adapters.features.soundness import check_view
from stackproof.errors import StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization
from stackproof.roles.table import Table


class EmbeddedFeatures:
    """Fills the role `features`. Both the join and the lookup read the same table of changes.

    A lookup without `as_of` answers as of the view's watermark: the latest instant of which anything
    is known. In an aggregate NaN is a missing value. Instants without a zone are read as UTC.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"historical", "online", "online-as-of"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._lock = threading.Lock()
        self._opened: Materialized | None = None
        self._indexes: dict[str, tuple[int, ViewIndex]] = {}

    def health(self) -> Health:
        try:
            count = len(self._materialized().manifests())
        except StackproofError as problem:
            return Health(ok=False, version=pl.__version__, detail=str(problem))
        return Health(ok=True, version=pl.__version__, detail=f"Polars {pl.__version__}, {count} views materialized")

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None
            self._indexes.clear()

    def point_in_time_join(
        self,
        rows: Table,
        views: Sequence[tuple[FeatureView, Table]],
        *,
        as_of: str,
    ) -> pl.DataFrame:
        frame = _frame(rows, "the rows to join")
        sources = [(view, _frame(source, view.source)) for view, source in views]
        described = [(view, columns_of(source)) for view, source in sources]
        for view, columns in described:
            check_view(view)
            check_source(view, columns)
        check_rows(columns_of(frame), described, as_of)
        return join(frame, [(view, changes_of(view, source)) for view, source in sources], as_of)

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        check_view(view)
        frame = _frame(source, view.source)
        check_source(view, columns_of(frame))
        changes = changes_of(view, frame)
        served = Served(view, version, changes.watermark)
        self._materialized().replace(served, changes.rows, columnar(view, changes))
        return _materialization(served, changes.rows)

    def materialized(self) -> list[Materialization]:
        return [_materialization(manifest.served, manifest.rows) for manifest in self._materialized().manifests()]

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        find = self._index(view).lookup
        return [find(request) for request in requests]

    def _index(self, view: str) -> ViewIndex:
        """The index of what counts now, loaded anew when any process has materialized since."""
        materialized = self._materialized()
        generation = materialized.generation(view)
        held = self._indexes.get(view)
        if held is not None and held[0] == generation:
            return held[1]
        with self._lock:
            held = self._indexes.get(view)
            if held is not None and held[0] == generation:
                return held[1]
            return self._load(materialized, view)

    def _load(self, materialized: Materialized, view: str) -> ViewIndex:
        manifest, table = materialized.load(view)
        index = ViewIndex(manifest.served, table)
        self._indexes[view] = (manifest.generation, index)
        return index

    def _materialized(self) -> Materialized:
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = Materialized(self._home)
        return self._opened


def _frame(table: Table, name: str) -> pl.DataFrame:
    if isinstance(table, pl.DataFrame):
        return table
    try:
        return pl.DataFrame(table)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as unreadable:
        raise no_table(name, table, unreadable) from unreadable


def _materialization(served: Served, rows: int) -> Materialization:
    watermark = None if served.watermark is None else instant_of(served.watermark)
    return Materialization(served.view.name, served.version, rows, watermark)
