"""Monitoring: does production behave differently from the reference?

Capabilities: "drift" (`DriftMonitor`), "performance" (`PerformanceMonitor`), "estimate"
(`PerformanceEstimator`), "metrics" (`MetricsSink`), "scrape"
(`PageScraper`), "alerts" (`AlertSink`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from stackproof.roles.table import Table


class ColumnKind(StrEnum):
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the monitor may cost in false alarms.

    `false_alarms_per_million`: how many false alarms, over all columns together, a million
    predictions from the reference distribution may raise on average (an upper bound).
    `window`: how many of the latest predictions a test looks at. `every`: predictions between looks.
    """

    false_alarms_per_million: float = 10.0
    window: int = 400
    every: int = 25


@dataclass(frozen=True, slots=True)
class Finding:
    """One column that differs from the reference.

    `test`: the test's name. `p_value` and `threshold`: the finding is that p_value < threshold.
    `statistic` and `effect`: the test's statistic, and the size of the difference in words, such as
    "median 10.4 -> 4.6". `first` and `last`: the positions, counted from 0 since the monitor
    started, of the rows looked at, both included. `hint` names a likely cause, or is "".
    """

    column: str
    test: str
    statistic: float
    p_value: float
    threshold: float
    effect: str
    first: int
    last: int
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Performance:
    """How good predictions were once the truth was known. All over `rows` rows with a label."""

    rows: int
    log_loss: float
    brier: float
    auc: float | None
    base_rate: float
    mean_prediction: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """How good predictions probably are while their truth is not known yet. All over `rows` predictions.

    `auc` and `accuracy` are what is expected of the area under the ROC curve and of the share of right answers when
    0.5 and more says "true". `auc_error` and `accuracy_error` are the standard deviations that chance alone gives
    them in as many rows of the reference: the truth is within three of them in 997 of 1000 cases, where the
    assumption of `PerformanceEstimator` holds. `auc` is None when all predictions are certain of the same outcome.
    """

    rows: int
    auc: float | None
    auc_error: float
    accuracy: float
    accuracy_error: float


@dataclass(frozen=True, slots=True)
class Alert:
    """What is sent to the sinks and kept in the ledger. `findings`: the strongest evidence first."""

    id: str
    deployment: str
    at: datetime
    title: str
    findings: tuple[Finding, ...]
    first_prediction: str
    last_prediction: str


class DriftMonitor(Protocol):
    """Capability "drift"."""

    def start(self, name: str, reference: Table, columns: Mapping[str, ColumnKind], policy: Policy) -> None:
        """Begin (or begin anew) to watch under `name`, with position 0.

        Raises `InvalidTable` when the reference has no rows or lacks a column, `RefusedInput` for no column and for a
        policy that cannot be kept.
        """
        ...

    def observe(self, name: str, rows: Table) -> list[Finding]:
        """Take rows in order; return the findings of the looks that became due, in order of the looks.

        A column that is in alarm is reported once, and again only after a look at which it was
        well. Columns that hold nothing but nulls, or a single value, or infinities are tested like
        others and never raise. Works row by row or in batches with the same result.
        Raises `NotFound` for a name not started, `InvalidTable` for a missing column.
        """
        ...

    def position(self, name: str) -> int:
        """How many rows were observed."""
        ...


class PerformanceMonitor(Protocol):
    """Capability "performance"."""

    def performance(self, predictions: Sequence[float], labels: Sequence[bool]) -> Performance:
        """Compare probabilities with what happened. `auc` is None with one class only.

        Raises `InvalidTable` when empty or of unequal lengths, `RefusedInput` for a value outside 0..1.
        """
        ...


class PerformanceEstimator(Protocol):
    """Capability "estimate": performance before the truth is known."""

    def estimate(self, known: Sequence[float], labels: Sequence[bool], predictions: Sequence[float]) -> Estimate:
        """How good `predictions` probably are, learnt from the probabilities `known` and what happened, `labels`.

        Assumes that the same prediction means the same chance as it did in the reference. So it notices inputs that
        moved to where the model is less sure, and not a world in which the same inputs lead to another outcome.
        Probabilities that are too high or too low in the reference are put right first. The same input gives the
        same estimate. The order of `predictions` does not matter, and a reference of some hundred rows is needed for
        an estimate worth its name.

        Raises `InvalidTable` when `known` and `labels` are of unequal lengths, when there are fewer than 20 known or
        no predictions, and when all labels are the same; `RefusedInput` for a probability outside 0..1.
        """
        ...


class MetricsSink(Protocol):
    """Capability "metrics"."""

    def expose(self, values: Mapping[str, float], labels: Mapping[str, str]) -> str:
        """The values as a page in the Prometheus text format, names prefixed `stackproof_`."""
        ...


class PageScraper(Protocol):
    """Capability "scrape"."""

    def scrape(self, job: str, name: str, target: str) -> None:
        """Read the page /metrics at `target` (HOST:PORT) again and again from now on, in place of the one before.

        `job`: "serving" for a model server, "watching" for a watcher. `name`: the deployment's. `target` "" ends it;
        a server that runs takes it up by itself. Raises `StorageFailed`.
        """
        ...


class AlertSink(Protocol):
    """Capability "alerts"."""

    def send(self, alert: Alert, sinks: Sequence[str]) -> Mapping[str, str]:
        """Send to each sink: "console", "file:PATH" (JSON lines) or "webhook:URL" (POST of JSON, 5 s, two retries).

        Returns "sent" or what went wrong, by sink; one sink's failure never stops another.
        Raises `RefusedInput`, before anything is sent, for a sink of another form.
        """
        ...
