import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.adapters.tracking.embedded import EmbeddedTracking
from stackproof.errors import Conflict, NotFound
from stackproof.roles.adapter import Setting
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.store import Store
from stackproof.testing.tracking import TrackingConformance

AT = datetime(2026, 1, 1, tzinfo=UTC)
POINTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), st.floats()))


class TestEmbeddedTracking(TrackingConformance):
    def make(self, home: Path) -> EmbeddedTracking:
        return EmbeddedTracking(Setting(home=home))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    yield store
    store.close()


@pytest.fixture
def tracking(store: Store) -> Iterator[EmbeddedTracking]:
    tracking = EmbeddedTracking(Setting(home=store.home))
    yield tracking
    tracking.close()


def test_everything_joins_an_enclosing_transaction_and_falls_with_it(tracking: EmbeddedTracking, store: Store) -> None:
    def write_and_fail() -> None:
        with store.database.transaction():
            tracking.start_run("delays", run_id="run:1", tags={"a": "1"})
            tracking.log_params("run:1", {"depth": 3})
            tracking.log_metrics("run:1", [Metric("loss", 1.0, 0, AT)])
            tracking.flush()
            assert tracking.get_run("run:1").metrics == {"loss": 1.0}
            tracking.end_run("run:1", RunStatus.FINISHED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with pytest.raises(NotFound):
        tracking.get_run("run:1")


def test_points_accepted_before_a_transaction_are_in_it_and_outlive_its_failure(
    tracking: EmbeddedTracking, store: Store
) -> None:
    tracking.start_run("delays", run_id="run:1")

    def write_and_fail() -> None:
        tracking.log_metrics("run:1", [Metric("loss", 1.0, 0, AT)])
        with store.database.transaction():
            tracking.log_metrics("run:1", [Metric("loss", 2.0, 1, AT)])
            assert tracking.get_run("run:1").metrics == {"loss": 2.0}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    tracking.log_metrics("run:1", [Metric("loss", 3.0, 2, AT)])
    tracking.flush()
    assert [point.value for point in tracking.metric_history("run:1", "loss")] == [1.0, 3.0]


def test_a_run_that_another_adapter_ended_takes_no_points(tracking: EmbeddedTracking, store: Store) -> None:
    tracking.start_run("delays", run_id="run:1")
    tracking.log_metrics("run:1", [Metric("loss", 1.0, 0, AT)])
    tracking.flush()
    other = EmbeddedTracking(Setting(home=store.home))
    other.end_run("run:1", RunStatus.KILLED)
    other.close()
    tracking.log_metrics("run:1", [Metric("loss", 2.0, 1, AT)])
    with pytest.raises(Conflict, match="ended"):
        tracking.flush()
    assert len(tracking.metric_history("run:1", "loss")) == 1


def test_a_run_never_ends_before_it_started_though_the_clock_goes_back(tmp_path: Path) -> None:
    ticks = iter([AT, AT - timedelta(days=1), AT - timedelta(days=2)])
    tracking = EmbeddedTracking(Setting(home=tmp_path), clock=lambda: next(ticks))
    tracking.start_run("delays", run_id="run:1")
    ended = tracking.end_run("run:1", RunStatus.FINISHED)
    assert ended.ended_at == ended.started_at == AT
    tracking.start_run("delays", run_id="run:2")
    assert [run.id for run in tracking.search_runs()] == ["run:2", "run:1"]
    tracking.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(POINTS, max_size=5), number=st.integers(0, 2**60))
def test_any_points_come_back_in_their_order(
    tracking: EmbeddedTracking, calls: list[list[tuple[str, int, float]]], number: int
) -> None:
    run = f"run:{number}-{datetime.now(UTC).timestamp()}"
    tracking.start_run("delays", run_id=run)
    for call in calls:
        tracking.log_metrics(run, [Metric(name, value, step, AT) for name, step, value in call])
    tracking.flush()
    for name in "ab":
        expected = sorted([point[1:] for call in calls for point in call if point[0] == name], key=lambda it: it[0])
        history = tracking.metric_history(run, name)
        assert [point.step for point in history] == [step for step, _ in expected]
        assert all(same(point.value, value) for point, (_, value) in zip(history, expected, strict=True))
        last = tracking.get_run(run).metrics.get(name)
        assert (last is None) == (not expected)
        assert last is None or same(last, expected[-1][1])


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))
