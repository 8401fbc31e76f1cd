"""What the bridge must know of each role's contract: its protocols, and which calls may be made again.

The proxies are made from the protocols themselves. A method that is in none of the sets here is made at most once.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from stackproof.errors import UnknownName
from stackproof.roles.adapter import LinksToItsUi


@dataclass(frozen=True, slots=True)
class Contract:
    """`capabilities`: the protocols that an adapter fills.

    `repeatable`: reads, and writes that the contract makes idempotent: after a child died they are made once more.
    `endless`: methods that run the user's code or serve, so that only the user can say how long.
    `accepts`: methods whose effect a child may still hold in memory when they return, by their first argument.
    `settles`: methods that promise that it is durable: for that argument, or for all when they have none.
    `until_signal`: methods that end at SIGTERM or SIGINT, which therefore reach the child.
    """

    capabilities: tuple[str, ...]
    repeatable: frozenset[str]
    endless: frozenset[str] = field(default_factory=frozenset)
    accepts: frozenset[str] = field(default_factory=frozenset)
    settles: frozenset[str] = field(default_factory=frozenset)
    until_signal: frozenset[str] = field(default_factory=frozenset)


CONTRACTS: Mapping[str, Contract] = {
    "tracking": Contract(
        ("RunWriter", "RunReader", "Registry"),
        repeatable=frozenset(
            {
                *("start_run", "log_params", "set_tags", "log_artifact", "end_run", "flush"),
                *("get_run", "search_runs", "metric_history", "list_artifacts"),
                *("register_model", "get_model", "list_models", "set_alias"),
            }
        ),
        accepts=frozenset({"log_metrics"}),
        settles=frozenset({"end_run", "flush"}),
    ),
    "features": Contract(
        ("HistoricalFeatures", "OnlineFeatures"),
        repeatable=frozenset({"point_in_time_join", "materialize", "materialized", "lookup"}),
    ),
    "serving": Contract(
        ("ModelServer",),
        repeatable=frozenset(),
        endless=frozenset({"run"}),
        until_signal=frozenset({"run"}),
    ),
    "orchestration": Contract(("PipelineRunner",), repeatable=frozenset(), endless=frozenset({"run"})),
    "tuning": Contract(("Tuner",), repeatable=frozenset(), endless=frozenset({"optimize"})),
    "monitoring": Contract(
        ("DriftMonitor", "PerformanceMonitor", "PerformanceEstimator", "MetricsSink", "PageScraper", "AlertSink"),
        repeatable=frozenset({"start", "position", "performance", "estimate", "expose", "scrape"}),
    ),
    "validation": Contract(("TableValidator", "Profiler"), repeatable=frozenset({"validate", "profile"})),
    "versioning": Contract(("Snapshots",), repeatable=frozenset({"snapshot", "versions", "get", "diff"})),
    "automl": Contract(("AutoML",), repeatable=frozenset(), endless=frozenset({"search"})),
}

ONCE: Mapping[str, frozenset[str]] = {
    "tracking": frozenset({"log_metrics", "fetch_artifact", "fetch_model"}),
    "serving": frozenset({"run"}),
    "orchestration": frozenset({"run"}),
    "tuning": frozenset({"optimize"}),
    "monitoring": frozenset({"observe", "send"}),
    "versioning": frozenset({"restore", "remove"}),
    "automl": frozenset({"search"}),
}
"""The other methods, so that a test finds one that nobody thought of: points are appended, files are made in a
place that must be empty, alerts are sent, rows are counted, the user's code is run."""


def contract_of(role: str) -> Contract:
    """Raises `UnknownName`."""
    if role not in CONTRACTS:
        raise UnknownName("role", role, CONTRACTS)
    return CONTRACTS[role]


def may_repeat(role: str, method: str) -> bool:
    """Whether a call whose child died may be made once more."""
    return method == "link" or method in contract_of(role).repeatable


def methods_of(role: str) -> dict[str, Callable[..., Any]]:
    """The contract's methods by name, as its protocols define them."""
    module = import_module(f"stackproof.roles.{role}")
    protocols = [*(getattr(module, name) for name in contract_of(role).capabilities), LinksToItsUi]
    return {name: method for protocol in protocols for name, method in members(protocol)[0].items()}


@cache
def protocols_near(role: str) -> tuple[type, ...]:
    """Every protocol that the role's contract names: objects that keep one cross the bridge as references."""
    module = import_module(f"stackproof.roles.{role}")
    named = [value for value in vars(module).values() if inspect.isclass(value) and value is not Protocol]
    return tuple(found for found in named if getattr(found, "_is_protocol", False) and found.__name__ != "Table")


@cache
def members(protocol: type) -> tuple[dict[str, Callable[..., Any]], tuple[str, ...]]:
    """A protocol's methods, and the names of its plain attributes."""
    methods: dict[str, Callable[..., Any]] = {
        name: value for name, value in vars(protocol).items() if inspect.isfunction(value) and name[0] != "_"
    }
    return methods, tuple(inspect.get_annotations(protocol))
