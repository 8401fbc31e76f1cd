"""Feast: its offline store joins, its online store answers, and its registry says what there is.

Below the home lies a repository of Feast, `feast/`, that its own command line and UI open. A materialized view is
there a feature view of that name: a Parquet file of what was known when, and the version of its rows that is served.
"""

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from stackproof.adapters.features.definitions import check_rows, check_source
from stackproof.adapters.features.soundness import check_view
from stackproof.adapters.option_values import check_names, choice, wrong
from stackproof.errors import RefusedInput, StackproofError
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization
from stackproof.roles.table import Table

if TYPE_CHECKING:
    from stackproof.adapters.features.feast_repository import Repository

ANSWERS_WITHIN_S = 5.0


class FeastFeatures:
    """Fills the role `features`. In an aggregate NaN is a missing value. Instants without a zone are read as UTC.

    A lookup of what is known latest is answered by Feast's online store. One of a past instant, which that store
    has not, is answered by Feast's offline store from the same materialization, which takes many times as long.
    With Redis a materialization is as durable as that server keeps its data; what it has lost is told.
    """

    tool: ClassVar[str] = "feast"
    capabilities: ClassVar[frozenset[str]] = frozenset({"historical", "online", "online-as-of", "links"})
    deviations: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[Mapping[str, Option]] = {
        "online_store": Option("string", "where the latest values are served from", "sqlite", ("sqlite", "redis")),
        "connection_string": Option(
            "string", "of Redis: HOST:PORT, then what its client takes, as ,db=0,password=${REDIS_PASSWORD}", None
        ),
        "project": Option("string", "the name of the project in Feast: letters, digits, _ and -", "stackproof"),
        "port": Option("integer", "of Feast's UI, which `stackproof up` starts; none: one that is free"),
    }

    def __init__(self, setting: Setting) -> None:
        self._options = _chosen(setting.options)
        self._home = setting.home
        self._lock = threading.Lock()
        self._opened: Repository | None = None

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec:
        """See `HasServer.server`: Feast's UI on the registry. It only reads it, anew after at most a minute."""
        from stackproof.adapters.features.feast_library import place_of

        place = place_of(setting.home, _chosen(setting.options))
        place.write_settings()
        return ServerSpec(
            name="feast",
            arguments=(str(python.parent / "feast"), "ui", "--host", "127.0.0.1", "--port", PORT),
            folder=place.root,
            url=f"http://127.0.0.1:{PORT}",
            health=f"http://127.0.0.1:{PORT}/health",
            port=int(str(setting.options.get("port") or 0)),
        )

    def link(self, identifier: str, ui: str) -> str:
        """Of a feature view that was materialized: its page."""
        kind, _, name = identifier.partition(":")
        view = name.rpartition("@")[0]
        if not ui or kind != "features" or view not in {made.view for made in self.materialized()}:
            return ""
        return f"{ui}/p/{self._options['project']}/feature-view/{quote(view, safe='')}"

    def health(self) -> Health:
        """Whether Feast can be imported, its repository read, and Redis reached where it serves."""
        from stackproof.adapters.features.feast_library import tool_module

        try:
            version = str(tool_module("feast").__version__)
        except StackproofError as missing:
            return Health(False, "", str(missing))
        address = self._options.get("connection_string")
        try:
            if address is not None:
                host, _, port = address.partition(",")[0].rpartition(":")
                socket.create_connection((host, int(port)), ANSWERS_WITHIN_S).close()
            count = len(self.materialized())
        except OSError as problem:
            return Health(False, version, f"Redis does not answer: {problem}")
        except StackproofError as problem:
            return Health(False, version, str(problem))
        return Health(True, version, f"Feast {version} on {self._options['online_store']}, {count} views materialized")

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def point_in_time_join(
        self,
        rows: Table,
        views: Sequence[tuple[FeatureView, Table]],
        *,
        as_of: str,
    ) -> Any:
        from stackproof.adapters.features.feast_changes import changes_of
        from stackproof.adapters.features.feast_columns import as_instants, as_keys, columns_of, read_table
        from stackproof.adapters.features.feast_history import History

        table = read_table("the rows to join", rows)
        sources = [(view, read_table(view.source, source)) for view, source in views]
        described = [(view, columns_of(source)) for view, source in sources]
        for view, columns in described:
            check_view(view)
            check_source(view, columns)
        check_rows(columns_of(table), described, as_of)
        at, known = as_instants(table.column(as_of))
        for view, source in sources:
            with closing(History(view, changes_of(view, source))) as history:
                found = history.find([as_keys(table.column(column)) for column in view.entity], at, known)
            for name, column in zip(found.values.column_names, found.values.columns, strict=True):
                table = table.append_column(name, column)
        return table

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        from stackproof.adapters.features.feast_changes import changes_of
        from stackproof.adapters.features.feast_columns import columns_of, read_table

        check_view(view)
        table = read_table(view.source, source)
        columns = columns_of(table)
        check_source(view, columns)
        kinds = {column: str(columns[column].key) for column in view.entity}
        return self._repository().materialize(view, changes_of(view, table), version, kinds)

    def materialized(self) -> list[Materialization]:
        return self._repository().materialized()

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        return self._repository().lookup(view, requests)

    def _repository(self) -> "Repository":
        from stackproof.adapters.features.feast_library import place_of
        from stackproof.adapters.features.feast_repository import Repository

        with self._lock:
            if self._opened is None:
                self._opened = Repository(place_of(self._home, self._options))
            return self._opened


def _chosen(options: Mapping[str, object]) -> dict[str, str]:
    """The options that are texts, with their defaults. Raises `UnknownName`, `RefusedInput`."""
    known = FeastFeatures.options
    chosen = {name: str(option.default) for name, option in known.items() if option.default is not None}
    check_names("feast", options, known)
    for name, value in options.items():
        wanted = str if known[name].kind == "string" else int
        if not isinstance(value, wanted):
            raise wrong(name, value, known[name].kind)
        chosen[name] = str(value)
    choice(options, known, "online_store")
    if not chosen["project"].replace("_", "a").replace("-", "a").isalnum() or chosen["project"][0] in "_-":
        raise wrong("project", chosen["project"], "letters, digits, _ and -; not _ or - first")
    _check_address(chosen)
    return chosen


def _check_address(chosen: Mapping[str, str]) -> None:
    address = chosen.get("connection_string")
    if (address is not None) != (chosen["online_store"] == "redis"):
        raise RefusedInput(
            "The options online_store and connection_string don't fit together",
            got=f"{chosen['online_store']} {'with' if address is not None else 'without'} a connection_string",
            allowed="a connection_string with redis, none with sqlite",
        )
    if address is not None and not address.partition(",")[0].rpartition(":")[2].isdecimal():
        raise RefusedInput(
            "The option connection_string is wrong", got="no port", allowed="HOST:PORT, as localhost:6379"
        )
