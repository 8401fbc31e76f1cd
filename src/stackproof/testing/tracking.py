"""The contract of `stackproof.roles.tracking` as tests that any tracking can run."""

import math
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput
from stackproof.roles.tracking import Metric, Param, RunStatus
from stackproof.testing.conformance import needs
from stackproof.testing.tracking_registry import (
    MARK,
    OTHER,
    RUN,
    RegistryConformance,
    at_once,
    content,
    damage,
    make_package,
)

AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
STRANGE = "Größe/größer: 'x' \"y\" 日本語 🚀 \u202eabc \t\n%s {}; DROP TABLE runs"

_IN_ANOTHER_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from stackproof.roles.adapter import Setting
from stackproof.roles.tracking import Metric, RunStatus
{make}
run, at = "run:child", datetime(2026, 1, 1, tzinfo=UTC)
adapter.start_run("both", run_id=run)
for step in range(200):
    adapter.log_metrics(run, [Metric("loss", step / 3, step, at)])
    if step % 20 == 0:
        adapter.set_tags("run:01", {{f"child-{{step}}": str(step)}})
adapter.end_run(run, RunStatus.FINISHED)
adapter.close()
"""


def points(*values: float, name: str = "loss", first_step: int = 0) -> list[Metric]:
    """Points at rising steps, a second apart."""
    return [
        Metric(name, value, first_step + offset, AT + timedelta(seconds=offset)) for offset, value in enumerate(values)
    ]


def same(left: float, right: float) -> bool:
    """Equal, and NaN equals NaN."""
    return left == right or (math.isnan(left) and math.isnan(right))


class TrackingConformance(RegistryConformance):
    """Subclass it, and give `make`. An adapter that is not made from a home alone overrides `make_elsewhere`."""

    def make_elsewhere(self, adapter: Any, home: Path) -> str:
        """Python code that makes `adapter` over the same home in another process."""
        kind = type(adapter)
        return (
            f"from {kind.__module__} import {kind.__qualname__} as Tracking\n"
            f"adapter = Tracking(Setting(home=Path({str(home)!r})))"
        )

    # runs

    def test_a_started_run_is_running_and_holds_what_it_was_given(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        before = datetime.now(UTC) - timedelta(seconds=2)
        run = adapter.start_run("delays", run_id=RUN, name="first", tags={"owner": "ana"})
        assert (run.id, run.experiment, run.name, run.status) == (RUN, "delays", "first", RunStatus.RUNNING)
        assert dict(run.tags) == {"owner": "ana"}
        assert dict(run.params) == {}
        assert dict(run.metrics) == {}
        assert run.ended_at is None
        assert before <= run.started_at <= datetime.now(UTC) + timedelta(seconds=2)

    def test_starting_a_run_again_returns_it_as_it_stands(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        first = adapter.start_run("delays", run_id=RUN, name="first", tags={"a": "1"})
        adapter.log_params(RUN, {"depth": 3})
        again = adapter.start_run("other", run_id=RUN, name="second", tags={"a": "2"})
        assert (again.experiment, again.name, dict(again.tags)) == ("delays", "first", {"a": "1"})
        assert dict(again.params) == {"depth": 3}
        assert again.started_at == first.started_at

    @pytest.mark.parametrize("experiment", ["", " ", "\n"])
    def test_an_empty_experiment_is_refused(self, adapter: Any, experiment: str) -> None:
        needs(adapter, "write-runs")
        with pytest.raises(RefusedInput):
            adapter.start_run(experiment, run_id=RUN)
        if "read-runs" in adapter.capabilities:
            assert adapter.search_runs() == []

    def test_a_run_that_is_not_there_is_not_found_by_any_call(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        file = tmp_path / "file"
        file.write_text("x")
        calls: list[Callable[[], object]] = [
            lambda: adapter.get_run(RUN),
            lambda: adapter.log_params(RUN, {"a": 1}),
            lambda: (adapter.log_metrics(RUN, points(1.0)), adapter.flush()),
            lambda: adapter.set_tags(RUN, {"a": "1"}),
            lambda: adapter.log_artifact(RUN, "a", file),
            lambda: adapter.end_run(RUN, RunStatus.FINISHED),
            lambda: adapter.metric_history(RUN, "loss"),
            lambda: adapter.list_artifacts(RUN),
            lambda: adapter.fetch_artifact(RUN, "a", tmp_path / "into"),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()

    # parameters

    @pytest.mark.parametrize(
        "value", ["text", "", STRANGE, 0, -7, 2**53 + 1, 0.1, -1.5e300, math.inf, True, False, None], ids=repr
    )
    def test_a_parameter_comes_back_with_its_type(self, adapter: Any, value: Param) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_params(RUN, {"p": value})
        adapter.flush()
        kept = adapter.get_run(RUN).params["p"]
        assert kept == value
        assert type(kept) is type(value)

    def test_the_same_value_again_is_no_change_and_another_is_a_conflict(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_params(RUN, {"depth": 3})
        adapter.log_params(RUN, {"depth": 3, "rate": 0.5})
        with pytest.raises(Conflict):
            adapter.log_params(RUN, {"new": 1, "depth": 4})
        adapter.flush()
        assert dict(adapter.get_run(RUN).params) == {"depth": 3, "rate": 0.5}

    # metrics

    def test_the_history_is_by_step_then_by_order_of_writing(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        written = [Metric("loss", value, step, AT) for value, step in [(1.0, 5), (2.0, 0), (3.0, 5), (4.0, -3)]]
        adapter.log_metrics(RUN, written[:2])
        adapter.log_metrics(RUN, written[2:])
        adapter.log_metrics(RUN, written[:1])
        adapter.flush()
        history = adapter.metric_history(RUN, "loss")
        assert [(p.step, p.value) for p in history] == [(-3, 4.0), (0, 2.0), (5, 1.0), (5, 3.0), (5, 1.0)]

    def test_the_run_shows_the_last_value_by_step_then_by_order_of_writing(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_metrics(RUN, [Metric("loss", value, step, AT) for value, step in [(1.0, 9), (2.0, 9), (3.0, 4)]])
        adapter.log_metrics(RUN, [Metric("loss", 4.0, 8, AT), Metric("only", 5.0, 0, AT)])
        adapter.flush()
        assert dict(adapter.get_run(RUN).metrics) == {"loss": 2.0, "only": 5.0}

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -1.7e308, 3], ids=repr)
    def test_a_value_is_kept_exactly(self, adapter: Any, value: float) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_metrics(RUN, points(value))
        adapter.flush()
        (point,) = adapter.metric_history(RUN, "loss")
        assert same(point.value, value)
        assert same(adapter.get_run(RUN).metrics["loss"], value)

    def test_a_point_keeps_its_instant_to_the_microsecond_in_utc(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_metrics(RUN, points(1.0))
        adapter.flush()
        (point,) = adapter.metric_history(RUN, "loss")
        assert point.at == AT
        assert point.at.utcoffset() == timedelta(0)

    def test_a_metric_never_written_has_an_empty_history(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_metrics(RUN, [])
        adapter.flush()
        assert adapter.metric_history(RUN, "loss") == []

    def test_ten_thousand_points_come_back(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        written = points(*(step / 7 for step in range(10_000)))
        adapter.log_metrics(RUN, written)
        adapter.flush()
        assert adapter.metric_history(RUN, "loss") == written

    # names, tags, end

    def test_strange_text_comes_back_as_it_was(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run(STRANGE, run_id=RUN, name=STRANGE, tags={STRANGE: STRANGE})
        adapter.log_params(RUN, {STRANGE: STRANGE})
        adapter.log_metrics(RUN, points(1.0, name=STRANGE))
        adapter.flush()
        run = adapter.get_run(RUN)
        assert (run.experiment, run.name) == (STRANGE, STRANGE)
        assert dict(run.tags) == dict(run.params) == {STRANGE: STRANGE}
        assert list(run.metrics) == [STRANGE]
        assert [found.id for found in adapter.search_runs(STRANGE, tags={STRANGE: STRANGE})] == [RUN]

    def test_the_last_value_of_a_tag_wins(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN, tags={"a": "1", "b": "1"})
        adapter.set_tags(RUN, {"a": "2"})
        adapter.set_tags(RUN, {"a": "3", "c": ""})
        adapter.flush()
        assert dict(adapter.get_run(RUN).tags) == {"a": "3", "b": "1", "c": ""}

    @pytest.mark.parametrize("status", [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED])
    def test_a_run_ends_once(self, adapter: Any, status: RunStatus) -> None:
        needs(adapter, "write-runs")
        adapter.start_run("delays", run_id=RUN)
        ended = adapter.end_run(RUN, status)
        assert ended.status is status
        assert ended.ended_at >= ended.started_at
        assert adapter.end_run(RUN, status) == ended
        other = RunStatus.FAILED if status is not RunStatus.FAILED else RunStatus.FINISHED
        with pytest.raises(Conflict):
            adapter.end_run(RUN, other)

    def test_a_run_cannot_end_as_running(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        adapter.start_run("delays", run_id=RUN)
        with pytest.raises(RefusedInput):
            adapter.end_run(RUN, RunStatus.RUNNING)

    def test_an_ended_run_takes_no_more_writes(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        file = tmp_path / "file"
        file.write_text("x")
        adapter.start_run("delays", run_id=RUN)
        adapter.log_metrics(RUN, points(1.0))
        adapter.end_run(RUN, RunStatus.FINISHED)
        calls: list[Callable[[], object]] = [
            lambda: adapter.log_params(RUN, {"a": 1}),
            lambda: (adapter.log_metrics(RUN, points(2.0)), adapter.flush()),
            lambda: adapter.set_tags(RUN, {"a": "1"}),
            lambda: adapter.log_artifact(RUN, "a", file),
        ]
        for call in calls:
            with pytest.raises(Conflict):
                call()
        run = adapter.get_run(RUN)
        assert (dict(run.params), dict(run.metrics), dict(run.tags)) == ({}, {"loss": 1.0}, {})
        assert adapter.list_artifacts(RUN) == []

    # search

    def test_runs_are_found_newest_first_by_experiment_and_all_tags(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        for number, tags in enumerate([{"a": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"a": "1", "b": "1"}]):
            adapter.start_run("even" if number % 2 == 0 else "odd", run_id=f"run:{number}", tags=tags)
        found = adapter.search_runs
        assert [run.id for run in found()] == ["run:3", "run:2", "run:1", "run:0"]
        assert [run.id for run in found("even")] == ["run:2", "run:0"]
        assert [run.id for run in found(tags={"a": "1", "b": "1"})] == ["run:3", "run:1"]
        assert [run.id for run in found("even", tags={"a": "1"})] == ["run:0"]
        assert [run.id for run in found(limit=2)] == ["run:3", "run:2"]
        assert found("none") == []
        assert found(tags={"a": "9"}) == []

    def test_runs_are_ordered_by_the_last_value_of_a_metric_and_those_without_come_last(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        values = {"run:a": 0.3, "run:b": math.nan, "run:c": -math.inf, "run:d": None, "run:e": math.inf, "run:f": 0.9}
        for run_id, value in values.items():
            adapter.start_run("delays", run_id=run_id)
            if value is not None:
                adapter.log_metrics(run_id, [Metric("auc", 5.0, 0, AT), Metric("auc", value, 1, AT)])
        adapter.flush()
        best = [run.id for run in adapter.search_runs("delays", order_by_metric="auc")]
        assert best[:4] == ["run:e", "run:f", "run:a", "run:c"]
        assert set(best[4:]) == {"run:b", "run:d"}
        worst = [run.id for run in adapter.search_runs("delays", order_by_metric="auc", descending=False)]
        assert worst[:4] == ["run:c", "run:a", "run:f", "run:e"]
        assert set(worst[4:]) == {"run:b", "run:d"}
        assert len(adapter.search_runs("delays", order_by_metric="auc", limit=5)) == 5

    # artifacts

    def test_a_file_and_a_folder_come_back_as_they_were(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        source = make_package(tmp_path / "source", b"content")
        adapter.start_run("delays", run_id=RUN)
        folder = adapter.log_artifact(RUN, "models/best", source)
        file = adapter.log_artifact(RUN, "curve.bin", source / "model.bin")
        adapter.flush()
        assert adapter.list_artifacts(RUN) == [file, folder]
        assert file.size == (source / "model.bin").stat().st_size
        assert folder.size == sum(len(data) for data in content(source).values())
        assert content(adapter.fetch_artifact(RUN, "models/best", tmp_path / "into")) == content(source)
        fetched = adapter.fetch_artifact(RUN, "curve.bin", tmp_path / "into")
        assert fetched == tmp_path / "into" / "curve.bin"
        assert fetched.read_bytes() == (source / "model.bin").read_bytes()

    def test_an_artifact_is_a_copy_and_its_digest_tells_its_content(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        file = tmp_path / "file.txt"
        file.write_bytes(b"one")
        adapter.start_run("delays", run_id=RUN)
        first = adapter.log_artifact(RUN, "a", file)
        file.write_bytes(b"two")
        second = adapter.log_artifact(RUN, "b", file)
        file.write_bytes(b"one")
        third = adapter.log_artifact(RUN, "c", file)
        assert first.digest.startswith("sha256:")
        assert first.digest == third.digest != second.digest
        adapter.flush()
        assert adapter.fetch_artifact(RUN, "b", tmp_path / "into").read_bytes() == b"two"

    def test_an_artifact_of_the_same_name_is_replaced(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        file = tmp_path / "file.txt"
        adapter.start_run("delays", run_id=RUN)
        for text in ("one", "two"):
            file.write_text(text)
            adapter.log_artifact(RUN, "same", file)
        adapter.flush()
        assert [artifact.name for artifact in adapter.list_artifacts(RUN)] == ["same"]
        assert adapter.fetch_artifact(RUN, "same", tmp_path / "into").read_text() == "two"

    @pytest.mark.parametrize("name", ["", "../up", "/root", "a/../../b", "..", "."])
    def test_a_name_that_leaves_the_run_is_refused(self, adapter: Any, tmp_path: Path, name: str) -> None:
        needs(adapter, "write-runs")
        file = tmp_path / "file"
        file.write_text("x")
        adapter.start_run("delays", run_id=RUN)
        with pytest.raises(RefusedInput):
            adapter.log_artifact(RUN, name, file)

    def test_an_artifact_that_is_not_there_is_not_found(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)
        with pytest.raises(NotFound):
            adapter.log_artifact(RUN, "a", tmp_path / "none")
        with pytest.raises(NotFound):
            adapter.fetch_artifact(RUN, "a", tmp_path / "into")
        assert not (tmp_path / "into").exists()

    def test_a_damaged_artifact_is_reported_and_leaves_nothing_behind(
        self, adapter: Any, home: Path, tmp_path: Path
    ) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        file = tmp_path / "file"
        file.write_bytes(MARK * 100)
        adapter.start_run("delays", run_id=RUN)
        adapter.log_artifact(RUN, "a", file)
        adapter.end_run(RUN, RunStatus.FINISHED)
        if not damage(home, MARK):
            pytest.skip("the artifact's bytes are not below the home")
        with pytest.raises(Corrupted):
            adapter.fetch_artifact(RUN, "a", tmp_path / "into")
        assert not (tmp_path / "into").exists()

    # restart, concurrency

    def test_another_adapter_over_the_same_home_sees_everything(self, home: Path, tmp_path: Path) -> None:
        first = self.make(home)
        needs(first, "write-runs")
        needs(first, "read-runs")
        file = tmp_path / "file"
        file.write_text("x")
        first.start_run("delays", run_id=RUN, name="n", tags={"a": "1"})
        first.log_params(RUN, {"depth": 3})
        first.log_metrics(RUN, points(1.0, math.nan))
        first.log_artifact(RUN, "a", file)
        ended = first.end_run(RUN, RunStatus.FAILED)
        first.start_run("delays", run_id=OTHER)
        first.close()
        second = self.make(home)
        try:
            assert repr(second.get_run(RUN)) == repr(ended)
            assert [p.step for p in second.metric_history(RUN, "loss")] == [0, 1]
            assert [artifact.name for artifact in second.list_artifacts(RUN)] == ["a"]
            assert [run.id for run in second.search_runs()] == [OTHER, RUN]
            second.log_metrics(OTHER, points(2.0))
            assert dict(second.end_run(OTHER, RunStatus.FINISHED).metrics) == {"loss": 2.0}
        finally:
            second.close()

    def test_closing_makes_durable_what_was_accepted(self, home: Path) -> None:
        first = self.make(home)
        needs(first, "write-runs")
        needs(first, "read-runs")
        first.start_run("delays", run_id=RUN)
        first.log_metrics(RUN, points(*range(100)))
        first.close()
        second = self.make(home)
        try:
            assert len(second.metric_history(RUN, "loss")) == 100
        finally:
            second.close()

    def test_many_threads_write_one_run_and_nothing_is_lost(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("delays", run_id=RUN)

        def write(thread: int) -> None:
            for step in range(25):
                adapter.log_metrics(RUN, [Metric(f"m{thread}", float(step), step, AT), Metric("all", 1.0, step, AT)])
            adapter.log_params(RUN, {f"p{thread}": thread})
            adapter.set_tags(RUN, {f"t{thread}": str(thread)})
            adapter.flush()

        at_once([partial(write, thread) for thread in range(8)])
        run = adapter.get_run(RUN)
        assert dict(run.params) == {f"p{thread}": thread for thread in range(8)}
        assert dict(run.tags) == {f"t{thread}": str(thread) for thread in range(8)}
        assert len(adapter.metric_history(RUN, "all")) == 200
        assert all([p.step for p in adapter.metric_history(RUN, f"m{t}")] == list(range(25)) for t in range(8))

    def test_many_threads_start_one_run_and_there_is_one(self, adapter: Any) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        started = at_once([lambda: adapter.start_run("delays", run_id=RUN)] * 8)
        assert all(run == started[0] for run in started)
        assert [run.id for run in adapter.search_runs()] == [RUN]

    def test_two_processes_write_at_once_and_nothing_is_lost(self, adapter: Any, home: Path) -> None:
        needs(adapter, "write-runs")
        needs(adapter, "read-runs")
        adapter.start_run("both", run_id=RUN)
        code = _IN_ANOTHER_PROCESS.format(make=self.make_elsewhere(adapter, home))
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as child:
            step = 0
            while child.poll() is None or step < 100:
                adapter.log_metrics(RUN, points(1.0, first_step=step))
                if step % 20 == 0:
                    adapter.set_tags(RUN, {f"parent-{step}": str(step)})
                step += 1
            assert child.stderr is not None
            assert child.returncode == 0, child.stderr.read()
        adapter.end_run(RUN, RunStatus.FINISHED)
        assert len(adapter.metric_history(RUN, "loss")) == step
        assert len(adapter.metric_history("run:child", "loss")) == 200
        tags = adapter.get_run(RUN).tags
        assert sum(name.startswith("child-") for name in tags) == 10
        assert sum(name.startswith("parent-") for name in tags) == len(range(0, step, 20))
