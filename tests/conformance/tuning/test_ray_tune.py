"""Ray Tune keeps the contract of `tuning`, and its own reader finds the experiments."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.tuning.ray_tune import RayTuner
from stackproof.errors import RefusedInput, StackproofError
from stackproof.roles.tuning import FinishedTrial, PrunedTrial, Trial, TrialStatus
from stackproof.testing.tuning import TuningConformance, run

pytestmark = pytest.mark.tools
ROLE, TOOL = "tuning", "ray-tune"


@pytest.mark.usefixtures("in_its_own_environment")
class TestRayTuner(TuningConformance):
    deviations = RayTuner.deviations


READ = """
import json, sys
from ray.tune import ExperimentAnalysis
analysis = ExperimentAnalysis(sys.argv[1])
print(json.dumps([{
    "status": trial.status,
    "config": trial.config,
    "value": (trial.last_result or {}).get("value"),
    "steps": (trial.last_result or {}).get("training_iteration"),
    "name": str(trial),
} for trial in analysis.trials]))
"""


def of_ray(adapter: Any) -> list[int]:
    """The processes of Ray below the adapter's own."""
    told = subprocess.run(["ps", "-ww", "-eo", "pid=,sid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    names = ("gcs_server", "raylet/raylet")
    return [int(row[0]) for row in rows if int(row[1]) == adapter.bridge.pid and any(name in row[2] for name in names)]


def are_gone_soon(pids: list[int]) -> bool:
    until = time.monotonic() + 30
    while [pid for pid in pids if Path(f"/proc/{pid}").exists()] and time.monotonic() < until:
        time.sleep(0.2)
    return not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_rays_own_reader_finds_the_trials_and_a_closed_adapter_leaves_no_process(
    made: Callable[..., Any], python: Path, home: Path
) -> None:
    adapter = made(home)
    running: list[int] = []

    def objective(trial: Trial) -> float:
        running.extend(of_ray(adapter))
        if trial.number == 2:
            raise ValueError("no rows left")
        trial.report(0, 3.0)
        return float(trial.number)

    study = run(adapter, objective, trials=3)
    adapter.close()
    assert running
    assert are_gone_soon(running)
    (experiment,) = (home / "ray_results").iterdir()
    told = subprocess.run([str(python), "-c", READ, str(experiment)], capture_output=True, text=True, check=True)
    found = {trial["name"]: trial for trial in json.loads(told.stdout.splitlines()[-1])}
    first, second, failed = (found[f"trial_{number:05d}"] for number in range(3))
    assert [first["status"], second["status"], failed["status"]] == ["TERMINATED", "TERMINATED", "ERROR"]
    assert [first["value"], second["value"]] == [0.0, 1.0]
    assert first["steps"] == 2
    assert first["config"] == dict(study.trials[0].params)
    assert not (Path.home() / ".ray").exists() or "auth_token" not in os.listdir(Path.home() / ".ray")


def test_a_study_whose_process_was_killed_goes_on_and_ray_ends_with_it(
    made: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    adapter = made(home)
    running: list[int] = []

    def killing(trial: Trial) -> float:
        if trial.number == 2:
            running.extend(of_ray(adapter))
            os.kill(adapter.bridge.pid, signal.SIGKILL)
        return float(trial.number)

    with pytest.raises(StackproofError):
        run(adapter, killing, trials=4)
    assert running
    assert are_gone_soon(running)
    heard: list[FinishedTrial] = []
    study = run(made(home), lambda trial: float(trial.number), trials=4, on_trial=heard.append)
    assert [trial.value for trial in study.trials] == [0.0, 1.0, 2.0, 3.0]
    assert [trial.number for trial in heard] == [2, 3]
    assert {trial.status for trial in study.trials} == {TrialStatus.COMPLETE}


def test_what_earlier_calls_reported_counts_when_a_trial_is_ended_early(made: Callable[..., Any], home: Path) -> None:
    def level(value: float) -> Callable[[Trial], float]:
        def objective(trial: Trial) -> float:
            for step in range(3):
                if trial.report(step, value):
                    raise PrunedTrial
            return value

        return objective

    for scheduler in ("median", "asha"):
        below = home / scheduler
        below.mkdir()
        adapter = made(below, scheduler=scheduler)
        run(adapter, level(1.0), trials=6)
        study = run(adapter, level(100.0), trials=7)
        adapter.close()
        assert study.trials[6].status is TrialStatus.PRUNED
        assert {trial.status for trial in study.trials[:6]} == {TrialStatus.COMPLETE}


@pytest.mark.parametrize("options", [{"scheduler": "best"}, {"prune_after_trials": -1}, {"schedule": "asha"}])
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], home: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(home, **options)
