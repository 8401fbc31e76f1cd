"""What the server counts, in the Prometheus text format (version 0.0.4)."""

from bisect import bisect_left
from collections import Counter

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "stackproof_serving_"


class Metrics:
    """Counters of one server since its start. Used from one thread."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.predictions: Counter[str] = Counter()
        self.in_flight = 0
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """An infer request was answered with this HTTP status after this time."""
        self.requests[str(status)] += 1
        self._buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def refused(self, reason: str) -> None:
        self.refusals[reason] += 1

    def predicted(self, version: str, rows: int) -> None:
        self.predictions[version] += rows

    def text(self) -> str:
        rows = sum(self.predictions.values())
        lines = [
            *_counter("requests_total", "Infer requests by HTTP status.", "status", self.requests),
            *_counter("refusals_total", "Infer requests refused, by reason.", "reason", self.refusals),
            *_counter("predictions_total", "Rows predicted, by model version.", "version", self.predictions),
            *_family("rows_total", "counter", "Rows predicted and logged.", [("", rows)]),
            *_family("in_flight", "gauge", "Infer requests under way.", [("", self.in_flight)]),
            *self._histogram(),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        total, samples = 0, []
        for bound, count in zip([*map(str, BOUNDS), "+Inf"], self._buckets, strict=True):
            total += count
            samples.append((f'_bucket{{le="{bound}"}}', total))
        sums = [("_sum", self._seconds), ("_count", total)]
        return _family("request_seconds", "histogram", "Seconds per infer request.", [*samples, *sums])


def _counter(name: str, about: str, label: str, counts: Counter[str]) -> list[str]:
    samples = [(f'{{{label}="{key}"}}', count) for key, count in sorted(counts.items())]
    return _family(name, "counter", about, samples)


def _family(name: str, kind: str, about: str, samples: "list[tuple[str, int]] | list[tuple[str, float]]") -> list[str]:
    lines = [f"{_PREFIX}{name}{suffix} {value}" for suffix, value in samples]
    return [f"# HELP {_PREFIX}{name} {about}", f"# TYPE {_PREFIX}{name} {kind}", *lines]
