"""Points that were accepted and are not yet in MLflow."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from stackproof.adapters.tracking.mlflow_form import Point

REMEMBERED = 100_000


class WaitingPoints:
    """By run, in order of acceptance.

    MLflow keeps one of several equal points, and orders those of one step by instant, then by value. So a point whose
    name and step had one within the same millisecond is moved to the next millisecond: none is lost, and the order of
    writing stays. The last `REMEMBERED` names and steps are looked at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_run: dict[str, list[Point]] = {}
        self._latest: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    def add(self, run_id: str, points: Sequence[Point]) -> int:
        """Returns how many of the run wait now."""
        with self._lock:
            waiting = self._by_run.setdefault(run_id, [])
            waiting.extend(self._apart(run_id, point) for point in points)
            return len(waiting)

    def take(self, run_id: str) -> list[Point]:
        with self._lock:
            return self._by_run.pop(run_id, [])

    def give_back(self, run_id: str, points: Sequence[Point]) -> None:
        """Before those that were accepted since."""
        with self._lock:
            self._by_run[run_id] = [*points, *self._by_run.get(run_id, ())]

    def runs(self) -> list[str]:
        with self._lock:
            return [run_id for run_id, points in self._by_run.items() if points]

    def _apart(self, run_id: str, point: Point) -> Point:
        key, value, at, step = point
        latest = self._latest.pop((run_id, key, step), None)
        moved = latest + 1 if latest is not None and at <= latest else at
        self._latest[run_id, key, step] = moved
        if len(self._latest) > REMEMBERED:
            self._latest.popitem(last=False)
        return key, value, moved, step
