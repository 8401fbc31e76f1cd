"""Tracking: points, runs, searches, artifacts and the registry, and what a kill loses of acknowledged points."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stackproof.prove.candidate import Opener, Running, Writer
from stackproof.prove.record import Record, timed, times
from stackproof.prove.scenario import Given
from stackproof.roles.tracking import Metric, Run, RunStatus

AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
BATCH = 1_000
LAST = "metric7"
NEAR = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Size:
    """Points in batches, single calls that are only accepted, calls each made durable, whole runs, artifact bytes."""

    points: int
    single: int
    durable: int
    runs: int
    artifact: int
    reads: int


SIZES = {
    "smoke": Size(2_000, 200, 40, 12, 1 << 20, 5),
    "medium": Size(20_000, 2_000, 200, 100, 16 << 20, 10),
    "full": Size(100_000, 20_000, 1_000, 1_000, 256 << 20, 20),
}


class TrackingScenario:
    """One writer, one run at a time, as a training script does."""

    name = "runs and points"
    needs = frozenset({"write-runs"})

    def __init__(self, size: str, given: Given) -> None:
        self._size = SIZES[size]
        self._points = [Metric("loss", _value(step), step, AT + timedelta(seconds=step)) for step in _steps(self._size)]

    def round(self, running: Running, folder: Path, record: Record) -> None:
        tracking = running.adapter
        _, seconds = timed(lambda: _first(tracking))
        record.figure("first_call", "s", seconds)
        self._write_points(tracking, record)
        self._write_runs(tracking, record)
        if "read-runs" in tracking.capabilities:
            self._read(tracking, record)
        self._artifact(tracking, folder, record)
        if "registry" in tracking.capabilities:
            self._register(tracking, folder, record)

    def _write_points(self, tracking: Any, record: Record) -> None:
        size = self._size
        for run in ("run:batched", "run:single", "run:durable"):
            tracking.start_run("points", run_id=run)
        batches = [self._points[start : start + BATCH] for start in range(0, size.points, BATCH)]
        started = time.perf_counter()
        for batch in batches:
            tracking.log_metrics("run:batched", batch)
        tracking.flush()
        record.rate("points_written", size.points, time.perf_counter() - started)
        single = [_logged(tracking, "run:single", step) for step in range(size.single)]
        record.latencies("log_call", times(single))
        tracking.flush()
        record.latencies("durable_call", times(_durable(tracking, step) for step in range(size.durable)))

    def _write_runs(self, tracking: Any, record: Record) -> None:
        started = time.perf_counter()
        for number in range(self._size.runs):
            self._write_run(tracking, number)
        record.rate("runs_written", self._size.runs, time.perf_counter() - started)

    def _write_run(self, tracking: Any, number: int) -> None:
        run = f"run:whole-{number}"
        tracking.start_run("runs", run_id=run, name=f"run {number}", tags=_tags(number))
        tracking.log_params(run, _params(number))
        tracking.log_metrics(run, [Metric(n, value, 0, AT) for n, value in self._metrics(number).items()])
        tracking.end_run(run, RunStatus.FINISHED)

    def _metrics(self, number: int) -> dict[str, float]:
        """Another order than that of writing; no two runs have the same value."""
        place = number * 7_919 % 1_000_003
        return {f"metric{i}": place / (i + 1) for i in range(50)}

    def _read(self, tracking: Any, record: Record) -> None:
        history, seconds = timed(lambda: tracking.metric_history("run:batched", "loss"))
        record.figure("history_read", "ms", 1e3 * seconds)
        _check_points(history, self._points, record, "a metric's history")
        for run, count in (("run:single", self._size.single), ("run:durable", self._size.durable)):
            found = len(tracking.metric_history(run, "loss"))
            record.check(found == count, f"of {count:,} points written one by one {found:,} came back")
        best: list[list[Run]] = []
        ask = lambda: best.append(tracking.search_runs("runs", order_by_metric=LAST, limit=10))  # noqa: E731  # timed again and again
        record.latencies("best_runs", times([ask] * self._size.reads))
        numbers = sorted(range(self._size.runs), key=lambda n: self._metrics(n)[LAST], reverse=True)[:10]
        wanted = [f"run:whole-{number}" for number in numbers]
        record.check(
            [run.id for run in best[-1]] == wanted, "the ten best runs by a metric are not those that are best"
        )
        for number in {0, self._size.runs // 2, self._size.runs - 1}:
            _check_run(tracking.get_run(f"run:whole-{number}"), number, self._metrics(number), record)

    def _artifact(self, tracking: Any, folder: Path, record: Record) -> None:
        source = _file(folder / "artifact.bin", self._size.artifact)
        tracking.start_run("points", run_id="run:artifact")
        _, seconds = timed(lambda: tracking.log_artifact("run:artifact", "weights.bin", source))
        record.rate("artifact_written", source.stat().st_size / 1e6, seconds, "MB/s")
        if "read-runs" in tracking.capabilities:
            back = tracking.fetch_artifact("run:artifact", "weights.bin", folder / "fetched")
            record.check(back.read_bytes() == source.read_bytes(), "an artifact came back with other bytes")

    def _register(self, tracking: Any, folder: Path, record: Record) -> None:
        packages = []
        for number in range(self._size.reads):
            package = folder / f"package-{number}"
            package.mkdir()
            _file(package / "model.onnx", 100_000 + number)
            packages.append(package)
        made: list[Any] = []
        record.latencies("model_registered", times(_registered(tracking, package, made) for package in packages))
        versions = [model.version for model in made]
        record.check(versions == [*range(1, len(packages) + 1)], f"the model's versions are {versions}, not 1, 2, 3, …")
        back = tracking.fetch_model("model", versions[-1], folder / "model-fetched")
        same = (back / "model.onnx").read_bytes() == (packages[-1] / "model.onnx").read_bytes()
        record.check(same, "a registered model came back with other bytes")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        running = opened(home)
        tracking = running.adapter
        if "read-runs" not in tracking.capabilities:
            running.close()
            record.note("what a kill loses was not tried: the tool reads no runs")
            return
        tracking.start_run("crash", run_id="run:crash")
        writer = Writer(lambda step: _durable(tracking, step, "run:crash")())
        reached, killed = writer.kill(running, self._size.durable)
        if not record.check(reached, f"points could not be written: {writer.error}"):
            return
        again = opened(home)
        found = [point.step for point in again.adapter.metric_history("run:crash", "loss")]
        record.figure("recovery", "s", time.perf_counter() - killed)
        again.close()
        check_recovered(record, found, writer, "points")


def check_recovered(record: Record, found: list[int], writer: Writer, what: str) -> None:
    """Acknowledged is within recovered, recovered within attempted, and nothing is there twice."""
    acknowledged = set(range(writer.acknowledged))
    record.figure("acknowledged", "1", writer.acknowledged)
    record.figure("recovered", "1", len(set(found) & acknowledged))
    lost = len(acknowledged - set(found))
    record.check(lost == 0, f"after SIGKILL {lost:,} of {writer.acknowledged:,} acknowledged {what} are gone")
    invented = len([one for one in found if one >= writer.attempted])
    record.check(invented == 0, f"after SIGKILL there are {invented:,} {what} that nobody wrote")
    twice = len(found) - len(set(found))
    record.check(twice == 0, f"after SIGKILL {twice:,} {what} are there twice")


def _steps(size: Size) -> range:
    return range(size.points)


def _value(step: int) -> float:
    """Never a round number; now and then no number at all."""
    odd = {97: math.nan, 98: math.inf, 99: -math.inf}
    return odd.get(step % 500, math.sin(step) / 7)


def _first(tracking: Any) -> None:
    tracking.start_run("first", run_id="run:first")
    _durable(tracking, 0, "run:first")()


def _logged(tracking: Any, run: str, step: int) -> Callable[[], object]:
    point = [Metric("loss", step / 7, step, AT)]
    return lambda: tracking.log_metrics(run, point)


def _durable(tracking: Any, step: int, run: str = "run:durable") -> Callable[[], object]:
    def write() -> None:
        tracking.log_metrics(run, [Metric("loss", step / 7, step, AT)])
        tracking.flush()

    return write


def _registered(tracking: Any, package: Path, made: list[Any]) -> Callable[[], object]:
    return lambda: made.append(tracking.register_model("model", package, run_id="run:artifact"))


def _params(number: int) -> dict[str, Any]:
    kinds: tuple[Any, ...] = (number, number / 7, f"größe {number}", number % 2 == 0)
    return {f"param{i}": kinds[i % 4] for i in range(20)}


def _tags(number: int) -> dict[str, str]:
    return {f"tag{i}": f"{number} {i}" for i in range(5)}


def _check_points(found: list[Metric], written: list[Metric], record: Record, what: str) -> None:
    if not record.check(len(found) == len(written), f"of {len(written):,} points in {what} {len(found):,} came back"):
        return
    other = sum(not (a.step == b.step and _same(a.value, b.value)) for a, b in zip(found, written, strict=True))
    record.check(other == 0, f"{other:,} of {len(written):,} points in {what} have another value or step")
    moved = sum(abs(a.at - b.at) > NEAR for a, b in zip(found, written, strict=True))
    record.check(moved == 0, f"{moved:,} of {len(written):,} points in {what} moved by more than a millisecond")


def _check_run(run: Run, number: int, metrics: dict[str, float], record: Record) -> None:
    record.check(dict(run.params) == _params(number), "the parameters of a run came back changed")
    record.check(dict(run.metrics) == metrics, "the last values of a run's metrics came back changed")
    record.check(_tags(number).items() <= dict(run.tags).items(), "the tags of a run came back changed")
    record.check(run.status is RunStatus.FINISHED, f"a run that was ended as finished is {run.status}")


def _same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


def _file(path: Path, size: int) -> Path:
    """The same bytes each time, that compress as little as weights do."""
    import numpy

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(numpy.random.default_rng(size).bytes(size))
    return path
