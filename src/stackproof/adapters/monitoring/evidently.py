"""Monitoring with Evidently 0.7: its tests of drift on every look, its reports of the looks that found something.

A watch, with its reference and its latest rows, is kept in a database below the role's home. The reports are runs in
an Evidently workspace beside it, one project per watch: `evidently ui --workspace HOME/workspace` shows them.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.monitoring.evidently_features import Features
from stackproof.adapters.monitoring.evidently_reports import imported, keep
from stackproof.adapters.monitoring.kept_reports import REPORTS, KeptReports
from stackproof.adapters.monitoring.watch_book import WatchBook
from stackproof.errors import StackproofError
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting
from stackproof.roles.monitoring import ColumnKind, Finding, Policy
from stackproof.roles.table import Table


class EvidentlyMonitoring:
    """Capability "drift". A monitor made anew below the same home goes on with the watches; processes may share it.

    Writing raises `StorageFailed`. When `observe` returns, its rows and alarms are durable.
    """

    tool: ClassVar[str] = "evidently"
    capabilities: ClassVar[frozenset[str]] = frozenset({"drift", "links"})
    options: ClassVar[Mapping[str, Option]] = {
        "reports": Option("string", "the looks that are kept as reports in Evidently's workspace", "alarms", REPORTS),
        "port": Option("integer", "of Evidently's UI, which `stackproof up` starts; none: one that is free"),
    }

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        kept = setting.home / "workspace"
        self._reports = KeptReports(
            "Evidently", setting.options, self.options, lambda watch, look: keep(kept, watch, look)
        )
        self._book = WatchBook(setting.home, _prepared)

    def health(self) -> Health:
        """Whether Evidently can be imported and the watches opened."""
        try:
            version = str(imported().__version__)
        except StackproofError as missing:
            return Health(False, "", str(missing))
        try:
            self._book.check()
        except StackproofError as problem:
            return Health(False, version, str(problem))
        return Health(True, version, f"Evidently {version}, watches and reports are kept in {self._home}")

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec:
        """See `HasServer.server`: Evidently's UI on the kept reports. It only reads them."""
        kept = setting.home / "workspace"
        kept.mkdir(parents=True, exist_ok=True)
        return ServerSpec(
            name="evidently",
            arguments=(
                *(str(python.parent / "evidently"), "ui", "--workspace", str(kept)),
                *("--host", "127.0.0.1", "--port", PORT),
            ),
            folder=setting.home,
            url=f"http://127.0.0.1:{PORT}",
            health=f"http://127.0.0.1:{PORT}/api/version",
            variables={"DO_NOT_TRACK": "1"},
            port=int(str(setting.options.get("port") or 0)),
        )

    def link(self, identifier: str, ui: str) -> str:
        """Of a deployment: its project in Evidently's workspace, with the looks that are kept there."""
        kind, _, name = identifier.partition(":")
        kept = self._home / "workspace"
        if not ui or kind != "deployment" or not kept.exists():
            return ""
        projects = import_module("evidently.ui.workspace").Workspace.create(str(kept)).list_projects()
        found = next((project.id for project in projects if project.name == name.rpartition("@")[0]), None)
        return f"{ui}/projects/{found}" if found else ""

    def close(self) -> None:
        self._book.close()

    def start(self, name: str, reference: Table, columns: Mapping[str, ColumnKind], policy: Policy) -> None:
        self._book.start(name, reference, columns, policy)

    def observe(self, name: str, rows: Table) -> list[Finding]:
        watch, looks = self._book.observe(name, rows)
        self._reports.keep(watch, looks)
        return [finding for look in looks for finding in look.findings]

    def position(self, name: str) -> int:
        return self._book.position(name)


def _prepared(reference: Any, columns: Mapping[str, ColumnKind]) -> Features:
    imported()
    return Features(reference, columns)
