"""A Grafana dashboard of the model servers and their watchers: JSON that Grafana imports or provisions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stackproof.adapters.monitoring.prometheus_rules import SERVING_JOB, quantile

UID = "stackproof"
COLUMNS = 24
SCHEMA_VERSION = 39
"""Of Grafana 10.4 and 11; newer releases migrate it."""
SERVERS = '{instance=~"$instance"}'
WINDOW = "$__rate_interval"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """`series`: pairs of an expression and its legend. `kind`: the panel's type in Grafana."""

    title: str
    series: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8


def dashboard(*, watching: bool) -> dict[str, Any]:
    """`watching`: with the panels of the watchers."""
    sections = [("Serving", SERVING)] + ([("Watching", WATCHING)] if watching else [])
    return {
        "uid": UID,
        "title": "Stackproof",
        "tags": ["stackproof"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": [_datasource_variable(), _instance_variable()]},
        "panels": list(_laid_out(sections)),
    }


def expressions(shown: dict[str, Any]) -> list[str]:
    """Every PromQL expression of a dashboard, with its variables."""
    return [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]


def _per_second(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate(stackproof_serving_{metric}{SERVERS}[{WINDOW}]))"


def _quantiles() -> tuple[tuple[str, str], ...]:
    shares = (("0.5", "half"), ("0.95", "95 %"), ("0.99", "99 %"))
    return tuple((quantile(share, WINDOW, selector=SERVERS), f"{{{{instance}}}} {name}") for share, name in shares)


SERVING = (
    Panel("Servers that answer", ((f'up{{job="{SERVING_JOB}",instance=~"$instance"}}', "{{instance}}"),), kind="stat"),
    Panel("Requests under way", ((f"stackproof_serving_in_flight{SERVERS}", "{{instance}}"),), kind="stat"),
    Panel("Rows predicted", ((f"stackproof_serving_rows_total{SERVERS}", "{{instance}}"),), kind="stat"),
    Panel("Requests by status", ((_per_second("requests_total", "instance, status"), "{{status}}"),), "reqps"),
    Panel("Time per request", _quantiles(), "s"),
    Panel("Rows predicted by model version", ((_per_second("predictions_total", "version"), "{{version}}"),), "rowsps"),
    Panel("Refused requests by reason", ((_per_second("refusals_total", "reason"), "{{reason}}"),), "reqps", width=24),
)
WATCHING = (
    Panel("Not looked at since", (("stackproof_watch_lag_seconds", "{{deployment}}"),), "s"),
    Panel("Predictions looked at", (("stackproof_watch_rows", "{{deployment}}"),)),
    Panel("Alerts since the watcher started", (("stackproof_watch_alerts", "{{deployment}}"),)),
    Panel(
        "Newest alert",
        (("stackproof_watch_last_alert_time_seconds * 1000 > 0", "{{deployment}}"),),
        "dateTimeFromNow",
        kind="stat",
        width=24,
        height=4,
    ),
)


def _laid_out(sections: Sequence[tuple[str, Sequence[Panel]]]) -> Iterator[dict[str, Any]]:
    """Each section begins with its title; panels go from left to right, and down where a row is full."""
    number, top = 0, 0
    for title, panels in sections:
        number += 1
        yield {
            "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        }  # fmt: skip
        top, left, height = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            number += 1
            yield _panel(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
        for index, (expr, legend) in enumerate(panel.series)
    ]
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if panel.kind == "timeseries":
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
    }


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
        "refresh": 1, "regex": "", "multi": False, "includeAll": False, "options": [], "current": {},
    }  # fmt: skip


def _instance_variable() -> dict[str, Any]:
    query = f'label_values(up{{job="{SERVING_JOB}"}}, instance)'
    return {
        "name": "instance", "label": "Server", "type": "query", "datasource": DATASOURCE, "hide": 0,
        "query": {"query": query, "refId": "Servers"},
        "refresh": 2, "regex": "", "sort": 1, "multi": True, "includeAll": True, "allValue": ".*", "options": [],
        "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip
