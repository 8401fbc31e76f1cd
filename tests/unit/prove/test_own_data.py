"""The user's own table or model takes the place of the generated one, and is checked as strictly."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.adapters.validation.embedded import PanderaValidator
from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.errors import NotFound, RefusedInput
from stackproof.prove.runner import Proven
from stackproof.prove.scenario import Given
from stackproof.prove.scenarios import make_scenario
from stackproof.testing.serving_models import onnx_package
from stackproof.usecases.prove import _with_predict

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 3_000


@pytest.fixture(params=["parquet", "csv"])
def flights(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Instants, a key that repeats, numbers, texts, missing values."""
    numbers = range(ROWS)
    table = pl.DataFrame(
        {
            "departs": [START + timedelta(minutes=7 * n) for n in numbers],
            "carrier": [("AA", "UA", "größe")[n % 3] for n in numbers],
            "number": [n % 97 for n in numbers],
            "delay": [None if n % 11 == 0 else (n * 7_919 % 1_009) / 7 for n in numbers],
            "distance": [n * 31 % 2_003 for n in numbers],
        }
    )
    path = tmp_path / f"flights.{request.param}"
    table.write_parquet(path) if request.param == "parquet" else table.write_csv(path)
    return path


@pytest.mark.parametrize(
    ("role", "adapter"),
    [
        ("features", EmbeddedFeatures),
        ("monitoring", EmbeddedMonitoring),
        ("validation", PanderaValidator),
        ("versioning", EmbeddedSnapshots),
    ],
)
def test_a_table_of_ones_own_is_proven_on(
    proved: Callable[..., Proven], flights: Path, role: str, adapter: Any
) -> None:
    proven = proved(role, adapter, given=Given(data=flights), crash=False)
    assert proven.record.faults == []
    assert len(proven.figures()) > 5


class DropsRows(EmbeddedFeatures):
    def point_in_time_join(self, *args: Any, **kwargs: Any) -> pl.DataFrame:
        return pl.DataFrame(super().point_in_time_join(*args, **kwargs)).head(1_000)


def test_on_ones_own_table_a_join_that_loses_rows_is_wrong_too(proved: Callable[..., Proven], flights: Path) -> None:
    proven = proved("features", DropsRows, given=Given(data=flights), crash=False)
    assert proven.record.faults == ["a join of 2,000 rows returned 1,000"]


def test_a_folder_of_ones_own_is_versioned(proved: Callable[..., Proven], tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    for name in ("a.txt", "inner/b.txt"):
        (tmp_path / "data" / name).write_text(name, "utf-8")
    proven = proved("versioning", EmbeddedSnapshots, given=Given(data=tmp_path / "data"), crash=False)
    assert proven.record.faults == []


def test_a_model_of_ones_own_is_served_and_every_value_compared(proved: Callable[..., Proven], tmp_path: Path) -> None:
    given = _with_predict(Given(model=onnx_package(tmp_path / "package", bias=0.5)))
    assert proved("serving", EmbeddedServer, given=given, crash=False).record.faults == []
    wrong = Given(model=given.model, predict=lambda rows: [0.5] * len(rows))
    assert "other values than the model" in proved("serving", EmbeddedServer, given=wrong, crash=False).record.faults[0]


@pytest.mark.parametrize(
    ("role", "name", "content", "said"),
    [
        ("features", "a.json", "{}", "in no form that is read"),
        ("features", "a.csv", "x\n1\n2\n", "no source of features"),
        ("features", "a.parquet", "no parquet", "can't be read"),
        ("validation", "a.csv", "x\n1\n", "too few rows"),
        ("monitoring", "a.csv", "x\na\nb\nc\n", "nothing to watch"),
        ("validation", "a.csv", "", "can't be read"),
    ],
)
def test_data_that_do_not_do_are_refused(tmp_path: Path, role: str, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(RefusedInput, match=said):
        make_scenario(role, "smoke", Given(data=tmp_path / name))


def test_data_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    for role in ("features", "monitoring", "validation", "versioning"):
        with pytest.raises(NotFound):
            make_scenario(role, "smoke", Given(data=tmp_path / "none.csv"))
