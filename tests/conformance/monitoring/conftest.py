"""What the tests of several tools for `monitoring` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stackproof.roles.monitoring import ColumnKind, Policy

NOTHING_STARTED = "test_a_name_that_was_not_started_is_not_found"
COLUMNS = {"speed": ColumnKind.NUMERIC, "carrier": ColumnKind.CATEGORICAL}


@pytest.fixture
def mostly_shared(shared: Any, made: Callable[..., Any], home: Path, request: pytest.FixtureRequest) -> Any:
    """The shared adapter; a new one for the test in which nothing was started."""
    return made(home) if request.node.originalname == NOTHING_STARTED else shared


@pytest.fixture(scope="session")
def flights() -> Callable[..., pl.DataFrame]:
    """Draws so many flights, by a seed."""

    def drawn(count: int, seed: int = 0) -> pl.DataFrame:
        chance = np.random.default_rng(seed)
        carriers = chance.choice(["UA", "B6", "DL", "EV", "AA", "OO"], count, p=[0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
        return pl.DataFrame({"speed": chance.gamma(4, 2.5, count).round(), "carrier": carriers})

    return drawn


@pytest.fixture
def false_alarms(flights: Callable[..., pl.DataFrame]) -> Callable[[Any, Policy], int]:
    """Counts the alarms of an adapter over 400 thousand rows that come from the reference."""

    def counted(adapter: Any, policy: Policy) -> int:
        alarms = 0
        for seed in range(4):
            adapter.start("quiet", flights(2000, seed=seed), COLUMNS, policy)
            alarms += len(adapter.observe("quiet", flights(100_000, seed=100 + seed)))
        return alarms

    return counted
