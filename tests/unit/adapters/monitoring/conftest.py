"""Streams that look like production, and a watch without a store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stackproof.adapters.monitoring.columns import read_rows
from stackproof.adapters.monitoring.drift import Watch
from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.adapters.monitoring.reference import Reference
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import ColumnKind, Finding, Policy


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[EmbeddedMonitoring]:
    monitor = EmbeddedMonitoring(Setting(home=tmp_path / "home"))
    yield monitor
    monitor.close()


def _kinds(frame: pl.DataFrame) -> dict[str, ColumnKind]:
    return {
        name: ColumnKind.CATEGORICAL if dtype == pl.String else ColumnKind.NUMERIC
        for name, dtype in frame.schema.items()
    }


def _observe(reference: pl.DataFrame, stream: pl.DataFrame, policy: Policy | None = None) -> list[Finding]:
    kinds = _kinds(reference)
    watch = Watch(kinds, policy or Policy(), Reference.read(reference, kinds))
    return watch.observe(read_rows(stream, kinds))


def _draw(rows: int, seed: int) -> pl.DataFrame:
    """Continuous, heavily tied and mostly zero numbers; rare and many missing; few, many and rare values."""
    chance = np.random.default_rng(seed)
    skewed = np.minimum(chance.zipf(1.3, rows), 100)
    return pl.DataFrame(
        {
            "continuous": chance.gamma(2, 5, rows),
            "tied": np.round(chance.gamma(2, 2, rows)),
            "mostly_zero": np.where(chance.random(rows) < 0.95, 0.0, chance.random(rows)),
            "rarely_missing": np.where(chance.random(rows) < 0.01, np.nan, chance.normal(size=rows)),
            "often_missing": np.where(chance.random(rows) < 0.6, np.nan, chance.normal(size=rows)),
            "constant": np.zeros(rows),
            "hundred_skewed": [f"v{value}" for value in skewed],
            "hundred_even": chance.integers(0, 100, rows).astype(str),
            "five_even": chance.integers(0, 5, rows).astype(str),
            "half": chance.integers(0, 2, rows).astype(str),
            "rare": np.where(chance.random(rows) < 0.01, "yes", "no"),
        }
    )


@pytest.fixture
def draw() -> Callable[[int, int], pl.DataFrame]:
    """(rows, seed) -> a table drawn from one fixed distribution."""
    return _draw


@pytest.fixture
def observe() -> Callable[..., list[Finding]]:
    """(reference, stream, policy) -> findings; columns of text are categorical."""
    return _observe
