"""What Prometheus shall watch: the metrics by name, and the alerts. A change is told within five minutes.

For each alert, the look back and the time that it must hold add up to less than five minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SERVING_JOB, WATCHING_JOB = "stackproof-serving", "stackproof-watching"
WATCH_METRICS: Mapping[str, str] = {
    "watch_rows": "predictions looked at since the watcher started",
    "watch_lag_seconds": "age of the oldest prediction that was not looked at yet; 0 when there is none",
    "watch_alerts": "alerts raised since the watcher started",
    "watch_last_alert_time_seconds": "Unix time of the newest alert; 0 when there was none",
}
"""What a watcher gives to `expose`, with the label `deployment`; `expose` puts `stackproof_` before each name."""
LAG = "stackproof_watch_lag_seconds"
LAG_S = 120
"""How long a prediction may wait to be looked at."""
DRIFT_S = 900
"""How long an alert of the watcher keeps the rule firing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert: `expr` has held for `hold` seconds. The texts are templates of Prometheus."""

    alert: str
    expr: str
    hold: int
    severity: str
    summary: str
    description: str


def serving_rules(error_share: float, latency_s: float) -> tuple[Rule, ...]:
    """On what the model servers count. `error_share`: of the answers; `latency_s`: seconds at the 99th percentile."""
    return (
        Rule(
            "StackproofServerDown",
            f'up{{job="{SERVING_JOB}"}} == 0',
            60,
            "critical",
            "The model server {{ $labels.instance }} does not answer",
            "Prometheus could not read its metrics for a minute.",
        ),
        Rule(
            "StackproofNoPredictions",
            "increase(stackproof_serving_rows_total[4m]) == 0"
            " and increase(stackproof_serving_rows_total[1h] offset 4m) > 0",
            30,
            "warning",
            "{{ $labels.instance }} predicts nothing any more",
            "There were predictions in the hour before, and none in the last four minutes.",
        ),
        Rule(
            "StackproofErrors",
            f"{_share('5..')} > {error_share!r}",
            60,
            "critical",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} fail",
            f"More than {error_share:.2%} of the answers of two minutes had a status of 500 or above.",
        ),
        Rule(
            "StackproofRefusals",
            f"{_share('4..')} > 0.05",
            60,
            "warning",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} are refused",
            "More than 5% of the requests of two minutes were wrong or too many: did a caller change?",
        ),
        Rule(
            "StackproofSlow",
            f"{quantile('0.99', '2m')} > {latency_s!r}",
            60,
            "warning",
            "The slowest hundredth of the requests to {{ $labels.instance }} takes {{ $value | humanizeDuration }}",
            f"The 99th percentile of two minutes is above {latency_s:g} seconds.",
        ),
    )


def watching_rules() -> tuple[Rule, ...]:
    """On what the watchers tell: `WATCH_METRICS`."""
    return (
        Rule(
            "StackproofWatcherDown",
            f'up{{job="{WATCHING_JOB}"}} == 0',
            60,
            "critical",
            "The watcher {{ $labels.instance }} does not answer",
            "Nobody compares production with the reference.",
        ),
        Rule(
            "StackproofWatcherBehind",
            f"{LAG} > {LAG_S}",
            60,
            "warning",
            "The watcher of {{ $labels.deployment }} is {{ $value | humanizeDuration }} behind",
            "A change of production may be noticed later than after five minutes.",
        ),
        Rule(
            "StackproofDrift",
            f"time() - stackproof_watch_last_alert_time_seconds < {DRIFT_S}",
            0,
            "warning",
            "Production of {{ $labels.deployment }} differs from the reference",
            "The watcher raised an alert {{ $value | humanizeDuration }} ago; the ledger holds its evidence.",
        ),
    )


def quantile(share: str, window: str, *, selector: str = "") -> str:
    """Seconds per request at this quantile, by server."""
    buckets = f"rate(stackproof_serving_request_seconds_bucket{selector}[{window}])"
    return f"histogram_quantile({share}, sum by (instance, le) ({buckets}))"


def _share(statuses: str) -> str:
    """Which part of the answers of two minutes had these statuses, by server."""
    requests = "stackproof_serving_requests_total"
    matching = f'sum by (instance) (rate({requests}{{status=~"{statuses}"}}[2m]))'
    return f"{matching} / sum by (instance) (rate({requests}[2m]))"
