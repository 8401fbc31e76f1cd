"""Monitoring with NannyML 0.13: its tests of drift, its realised performance, and its estimate of performance before
the truth is known.

A watch, with its reference and its latest rows, is kept in a database below the role's home. NannyML has no UI; its
plots and figures of the looks that found something are files beside the database, in `reports`.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar

from stackproof.adapters.monitoring.kept_reports import REPORTS, KeptReports
from stackproof.adapters.monitoring.nannyml_performance import estimated, realised
from stackproof.adapters.monitoring.nannyml_reports import keep_report, newest_page
from stackproof.adapters.monitoring.nannyml_tests import UnivariateTests
from stackproof.adapters.monitoring.watch_book import WatchBook
from stackproof.errors import NotFound, StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.monitoring import ColumnKind, Estimate, Finding, Performance, Policy
from stackproof.roles.table import Table


class NannymlMonitoring:
    """Capabilities "drift", "performance", "estimate" and "links". A monitor made anew below the same home goes on
    with the watches; processes may share it.

    Writing raises `StorageFailed`. When `observe` returns, its rows and alarms are durable.
    """

    tool: ClassVar[str] = "nannyml"
    capabilities: ClassVar[frozenset[str]] = frozenset({"drift", "performance", "estimate", "links"})
    options: ClassVar[Mapping[str, Option]] = {
        "reports": Option("string", "the looks whose plots and figures by NannyML are kept", "alarms", REPORTS)
    }

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        folder = setting.home / "reports"
        self._reports = KeptReports(
            "NannyML", setting.options, self.options, lambda watch, look: keep_report(folder, watch, look)
        )
        self._book = WatchBook(setting.home, _prepared)

    def health(self) -> Health:
        """Whether NannyML can be imported and the watches opened."""
        try:
            _nannyml()
            found = version("nannyml")
            self._book.check()
        except StackproofError as problem:
            return Health(False, "", str(problem))
        return Health(True, found, f"NannyML {found}, watches and reports are kept in {self._home}")

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

    def performance(self, predictions: Sequence[float], labels: Sequence[bool]) -> Performance:
        _nannyml()
        return realised(predictions, labels)

    def estimate(self, known: Sequence[float], labels: Sequence[bool], predictions: Sequence[float]) -> Estimate:
        _nannyml()
        return estimated(known, labels, predictions)

    def link(self, identifier: str, ui: str) -> str:
        """Of a deployment: NannyML's plot of the newest look that is kept, as a file. There is no UI."""
        kind, _, name = identifier.partition(":")
        page = newest_page(self._home / "reports", name.rpartition("@")[0]) if kind == "deployment" else None
        return page.absolute().as_uri() if page else ""


def _prepared(reference: Any, columns: Mapping[str, ColumnKind]) -> UnivariateTests:
    _nannyml()
    return UnivariateTests(reference, columns)


def _nannyml() -> Any:
    """The tool, without its telemetry, by the variable that it documents."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("nannyml")
    except ImportError as missing:
        raise NotFound(
            f"NannyML can't be imported: {missing}", next_command="uv pip install nannyml statsmodels pyarrow"
        ) from missing
