"""The looks of a watch that a foreign tool keeps as reports of its own."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from stackproof.adapters.monitoring.watch_book import Look, Watch
from stackproof.adapters.option_values import check_names, choice
from stackproof.roles.adapter import Option

REPORTS = ("alarms", "all", "none")


class KeptReports:
    """Has `keep` write a report of each look that the option `reports` names, one at a time."""

    def __init__(
        self,
        tool: str,
        given: Mapping[str, object],
        known: Mapping[str, Option],
        keep: Callable[[Watch, Look], None],
    ) -> None:
        """`given`: the adapter's options, `known`: those that there are. Raises `UnknownName`, `RefusedInput`."""
        check_names(tool.lower(), given, known)
        self._which = choice(given, known, "reports")
        self._tool, self._keep = tool, keep
        self._lock = threading.Lock()

    def keep(self, watch: Watch, looks: Sequence[Look]) -> None:
        """A report that the tool can't make is told in the log: it is a view of findings that are kept already."""
        for look in looks:
            if self._which == "all" or (self._which == "alarms" and look.findings):
                self._made(watch, look)

    def _made(self, watch: Watch, look: Look) -> None:
        try:
            with self._lock:
                self._keep(watch, look)
        except Exception as problem:  # noqa: BLE001  # whatever a tool's plots raise, the findings hold
            logging.getLogger(__name__).warning("%s made no report of %s: %s", self._tool, watch.name, problem)
