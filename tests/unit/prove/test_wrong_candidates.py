"""A candidate that is wrong by design is not correct, however quick it is, and its fault is said in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.adapters.orchestration.embedded import LocalRunner
from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.adapters.tracking.embedded import EmbeddedTracking
from stackproof.adapters.validation.embedded import PanderaValidator
from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.errors import StorageFailed
from stackproof.prove.figures import MEANINGS
from stackproof.prove.model import BoostedTrees
from stackproof.prove.runner import Proven
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest
from stackproof.roles.monitoring import Finding
from stackproof.roles.orchestration import Task, TaskResult
from stackproof.roles.serving import Deployment
from stackproof.roles.tracking import Metric, Run
from stackproof.roles.validation import ValidationReport

Proved = Callable[..., Proven]


def faults(proven: Proven) -> str:
    return "\n".join(proven.record.faults)


@pytest.mark.parametrize(
    ("role", "adapter"),
    [
        ("tracking", EmbeddedTracking),
        ("features", EmbeddedFeatures),
        ("serving", EmbeddedServer),
        ("orchestration", LocalRunner),
        ("monitoring", EmbeddedMonitoring),
        ("versioning", EmbeddedSnapshots),
        ("validation", PanderaValidator),
    ],
)
def test_an_adapter_that_keeps_its_contract_is_correct(proved: Proved, role: str, adapter: Any) -> None:
    """Without a crash where a tool in this process can't have one: orchestration would go on."""
    proven = proved(role, adapter, crash=role not in ("orchestration", "serving"))
    assert proven.record.faults == []
    assert {figure.name for figure in proven.figures()} >= {"start_up", "peak_memory", "disk", "load"}
    assert all(value >= 0 for figure in proven.figures() for value in figure.values)
    assert {figure.name for figure in proven.figures()} <= MEANINGS.keys()


class DropsRows(EmbeddedFeatures):
    """As the join of one store does: it loses 18 of 100 rows."""

    def point_in_time_join(self, rows: Any, views: Sequence[tuple[FeatureView, Any]], *, as_of: str) -> pl.DataFrame:
        joined = pl.DataFrame(super().point_in_time_join(rows, views, as_of=as_of))
        return joined.filter(pl.int_range(pl.len()) % 100 >= 18)


class LooksAhead(EmbeddedFeatures):
    """Uses what was known a day later."""

    def point_in_time_join(self, rows: Any, views: Sequence[tuple[FeatureView, Any]], *, as_of: str) -> pl.DataFrame:
        later = pl.DataFrame(rows).with_columns(pl.col(as_of) + pl.duration(days=1))
        return pl.DataFrame(super().point_in_time_join(later, views, as_of=as_of))


class Shuffles(EmbeddedFeatures):
    def point_in_time_join(self, rows: Any, views: Sequence[tuple[FeatureView, Any]], *, as_of: str) -> pl.DataFrame:
        return pl.DataFrame(super().point_in_time_join(rows, views, as_of=as_of)).reverse()


class AnswersZero(EmbeddedFeatures):
    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        found = super().lookup(view, requests)
        return [replace(row, values={name: value or 0.0 for name, value in row.values.items()}) for row in found]


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (DropsRows, "a join of 2,000 rows returned 1,640"),
        (LooksAhead, "values of a feature that differ"),
        (Shuffles, "in another order"),
        (AnswersZero, "lookups gave another value"),
    ],
)
def test_a_join_or_lookup_that_gives_other_rows_or_values_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("features", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


class Forgets(EmbeddedTracking):
    """Says durable, and writes once there are very many points; a kill takes them all with it."""

    def __init__(self, setting: Any) -> None:
        super().__init__(setting)
        self._held: list[tuple[str, list[Metric]]] = []

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        self._held.append((run_id, list(metrics)))
        if run_id != "run:crash" or len(self._held) >= 1_000_000:
            held, self._held = self._held, []
            for run, points in held:
                super().log_metrics(run, points)


class Rounds(EmbeddedTracking):
    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        super().log_metrics(run_id, [replace(point, value=float(f"{point.value:.6g}")) for point in metrics])


class WorstFirst(EmbeddedTracking):
    def search_runs(self, *args: Any, **kwargs: Any) -> list[Run]:
        return super().search_runs(*args, **(kwargs | {"descending": False}))


class FullDisk(EmbeddedTracking):
    def flush(self) -> None:
        raise StorageFailed("The disk is gone", got="/dev/nothing")


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (Forgets, "acknowledged points are gone"),
        (Rounds, "have another value or step"),
        (WorstFirst, "are not those that are best"),
        (FullDisk, "it failed: The disk is gone (/dev/nothing)"),
    ],
)
def test_tracking_that_loses_or_changes_what_it_acknowledged_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("tracking", adapter)
    assert not proven.record.correct
    assert said in faults(proven)


class ServesAnother(EmbeddedServer):
    """A model of the same shape with other trees."""

    def run(self, deployment: Deployment, **rest: Any) -> None:
        (route,) = deployment.routes
        other = BoostedTrees(seed=5).write(route.package.with_name("other"))
        super().run(replace(deployment, routes=(replace(route, package=other),)), **rest)


class ForgetsToLog(EmbeddedServer):
    def run(self, deployment: Deployment, *, log: Any, **rest: Any) -> None:
        class Nowhere:
            def append(self, predictions: Any, done: Callable[[BaseException | None], None]) -> None:
                done(None)

        super().run(deployment, log=Nowhere(), **rest)


@pytest.mark.parametrize(
    ("adapter", "said"), [(ServesAnother, "have other values than the model"), (ForgetsToLog, "in the prediction log")]
)
def test_a_server_of_other_values_or_without_its_log_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("serving", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


class RunsTwice(LocalRunner):
    def run(self, name: str, tasks: Sequence[Task], **rest: Any) -> list[TaskResult]:
        super().run(name, tasks, **rest)
        return super().run(name, tasks, **rest)


class InAnyOrder(LocalRunner):
    def run(self, name: str, tasks: Sequence[Task], **rest: Any) -> list[TaskResult]:
        free = [replace(task, after=()) for task in reversed(tasks)]
        return list(reversed(super().run(name, free, **rest)))


@pytest.mark.parametrize(("adapter", "said"), [(RunsTwice, "40 times in all"), (InAnyOrder, "before one that")])
def test_a_runner_that_runs_twice_or_too_early_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("orchestration", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


def test_a_run_that_ends_well_although_its_tool_was_killed_is_wrong(proved: Proved) -> None:
    class GoesOn(LocalRunner):
        """Nothing that happens to the tool is noticed."""

    proven = proved("orchestration", GoesOn)
    assert "further tasks were started" in faults(proven)


class Deaf(EmbeddedMonitoring):
    def observe(self, name: str, rows: Any) -> list[Finding]:
        super().observe(name, rows)
        return []


class CriesWolf(EmbeddedMonitoring):
    def observe(self, name: str, rows: Any) -> list[Finding]:
        first = self.position(name)
        found = super().observe(name, rows)
        wolf = Finding("carrier", "feeling", 1.0, 0.0, 0.1, "?", first, first + pl.DataFrame(rows).height - 1)
        return [*found, wolf]


@pytest.mark.parametrize(("adapter", "said"), [(Deaf, "was not noticed"), (CriesWolf, "nothing changed")])
def test_a_monitor_that_is_deaf_or_cries_wolf_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("monitoring", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


class Flips(EmbeddedSnapshots):
    """One bit of one file."""

    def restore(self, name: str, digest: str, into: Path) -> Path:
        restored = super().restore(name, digest, into)
        file = restored if restored.is_file() else next(path for path in restored.rglob("*") if path.is_file())
        content = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        return restored


class ForgetsVersions(EmbeddedSnapshots):
    def versions(self, name: str | None = None) -> list[Any]:
        return super().versions(name)[:1]


@pytest.mark.parametrize(("adapter", "said"), [(Flips, "with other bytes"), (ForgetsVersions, "1 are listed")])
def test_snapshots_that_come_back_changed_or_not_at_all_are_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("versioning", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


class AlwaysPleased(PanderaValidator):
    def validate(self, *args: Any, **kwargs: Any) -> ValidationReport:
        report = super().validate(*args, **kwargs)
        pleased = tuple(replace(outcome, ok=True, failing=0) for outcome in report.outcomes)
        return replace(report, outcomes=pleased)


class Samples(PanderaValidator):
    """Looks at every second row."""

    def validate(self, name: str, table: Any, *args: Any, others: Mapping[str, Any] | None = None) -> ValidationReport:
        return super().validate(name, pl.DataFrame(table).gather_every(2), *args, others=others)


@pytest.mark.parametrize(("adapter", "said"), [(AlwaysPleased, "is said to hold"), (Samples, "was counted as 2,500")])
def test_a_validator_that_overlooks_planted_faults_is_wrong(proved: Proved, adapter: Any, said: str) -> None:
    proven = proved("validation", adapter, crash=False)
    assert not proven.record.correct
    assert said in faults(proven)


def test_a_candidate_that_was_wrong_takes_part_no_further(proved: Proved) -> None:
    rounds: list[Path] = []

    class Counted(FullDisk):
        def __init__(self, setting: Any) -> None:
            rounds.append(setting.home)
            super().__init__(setting)

    proved("tracking", Counted)
    assert len(rounds) == 1


def test_a_tool_without_a_needed_capability_is_told_so(proved: Proved) -> None:
    class Mute(EmbeddedMonitoring):
        capabilities = frozenset({"alerts"})

    assert faults(proved("monitoring", Mute)) == "it lacks drift"
