"""Monitoring without a server: calibrated tests, measures of error, metrics as text, alerts."""

import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import ClassVar

from stackproof.adapters.monitoring.alerts import send_alert
from stackproof.adapters.monitoring.drift import Watch
from stackproof.adapters.monitoring.exposition import page_of
from stackproof.adapters.monitoring.reference import Reference
from stackproof.adapters.monitoring.state import SCHEMA, Watches
from stackproof.adapters.monitoring.webhook import TIMEOUT_S, Webhook
from stackproof.errors import Conflict, RefusedInput, StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.monitoring import Alert, ColumnKind, Finding, Performance, Policy
from stackproof.roles.table import Table
from stackproof.store.store import Store


class EmbeddedMonitoring:
    """All four capabilities. A watch lives in the store below `setting.home`: a monitor made anew there goes on
    with it, and threads and processes may share it.

    Writing raises what the store raises. When `observe` returns, its rows and alarms are durable; called inside a
    transaction of the same store they become so with it.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"drift", "performance", "metrics", "alerts"})
    options: ClassVar[Mapping[str, Option]] = {
        "webhook_timeout_s": Option("number", "seconds that one attempt to send to a webhook may take", TIMEOUT_S)
    }

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._webhook = Webhook(timeout_s=_seconds(setting.options.get("webhook_timeout_s", TIMEOUT_S)))
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._watches: Watches | None = None
        self._closed = False

    def health(self) -> Health:
        """Whether the store can be opened."""
        try:
            self._open()
        except (StackproofError, OSError) as error:
            return Health(False, version("stackproof"), str(error))
        return Health(True, version("stackproof"), f"watches are kept in {self._home}")

    def close(self) -> None:
        with self._lock:
            self._closed, store = True, self._store
            self._store = self._watches = None
        if store is not None:
            store.close()

    def start(self, name: str, reference: Table, columns: Mapping[str, ColumnKind], policy: Policy) -> None:
        if not columns:
            raise RefusedInput("A monitor needs a column to watch", got="no columns", allowed="at least one")
        kinds = {column: ColumnKind(kind) for column, kind in columns.items()}
        self._open().start(name, Watch(kinds, policy, Reference.read(reference, kinds)))

    def observe(self, name: str, rows: Table) -> list[Finding]:
        return self._open().observe(name, rows)

    def position(self, name: str) -> int:
        return self._open().position(name)

    def performance(self, predictions: Sequence[float], labels: Sequence[bool]) -> Performance:
        from stackproof.adapters.monitoring.performance import (
            performance_of,  # scikit-learn takes a second to import, and only this method needs it
        )

        return performance_of(predictions, labels)

    def expose(self, values: Mapping[str, float], labels: Mapping[str, str]) -> str:
        return page_of(values, labels)

    def send(self, alert: Alert, sinks: Sequence[str]) -> Mapping[str, str]:
        return send_alert(alert, sinks, self._webhook)

    def _open(self) -> Watches:
        with self._lock:
            if self._closed:
                raise Conflict("This monitor was closed", allowed="making a new one")
            if self._watches is None:
                self._store = Store.open(self._home, SCHEMA)
                self._watches = Watches(self._store)
            return self._watches


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 600:
        return float(value)
    raise RefusedInput(
        "The option webhook_timeout_s is wrong", got=repr(value), allowed="a number of seconds from 0 to 600"
    )
