import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stackproof.ledger import Ledger
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store, new_id

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store, clock=lambda: NOON)


@pytest.fixture
def make_prediction() -> Callable[..., LoggedPrediction]:
    def make(**changes: Any) -> LoggedPrediction:
        values: dict[str, Any] = {
            "id": new_id("prediction"),
            "request_id": "request-1",
            "deployment": "deployment:delay@1",
            "model": "model:delay@1",
            "at": NOON,
            "event_time": NOON,
            "entity": {"origin": "JFK"},
            "features": {"wind": math.inf, "gust": math.nan, "low": -math.inf, "none": None, "n": 3, "x": 0.1 + 0.2},
            "sources": {"weather": ("data:weather@1", NOON), "plane": (None, None)},
            "output": {"probability": 0.25, "late": False},
        }
        return LoggedPrediction(**(values | changes))

    return make
