"""The runs that a search asks for, for trackings that hold them in memory."""

import math
from collections.abc import Iterable, Mapping

from stackproof.roles.tracking import Run


def selected(
    newest_first: Iterable[Run],
    experiment: str | None,
    tags: Mapping[str, str] | None,
    order_by_metric: str | None,
    *,
    descending: bool,
    limit: int,
) -> list[Run]:
    """See `RunReader.search_runs`."""
    wanted = (tags or {}).items()
    runs = [run for run in newest_first if experiment in (None, run.experiment) and wanted <= run.tags.items()]
    if order_by_metric is not None:
        runs.sort(key=lambda run: _rank(run.metrics.get(order_by_metric, math.nan), descending=descending))
    return runs[:limit]


def _rank(value: float, *, descending: bool) -> tuple[bool, float]:
    if math.isnan(value):
        return (True, 0.0)
    return (False, -value if descending else value)
