import fcntl
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from stackproof.adapters.tuning.embedded import OptunaTuner
from stackproof.errors import Corrupted, StorageFailed, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.tuning import Direction, FloatRange, IntRange, Study, Trial, TrialStatus

SPACE = {"x": FloatRange(-5.0, 5.0), "n": IntRange(1, 100, log=True)}


def score(trial: Trial) -> float:
    return float(trial.params["x"]) ** 2 + float(trial.params["n"])


def tune(home: Path, objective: Callable[[Trial], float] = score, trials: int = 12, **options: int) -> Study:
    home.mkdir(exist_ok=True)
    tuner = OptunaTuner(Setting(home=home, options=options))
    return tuner.optimize("study", SPACE, objective, direction=Direction.MINIMIZE, trials=trials, seed=3)


CHILD = dedent(
    """
    import os, sys, time
    from pathlib import Path
    from stackproof.adapters.tuning.embedded import OptunaTuner
    from stackproof.roles.adapter import Setting
    from stackproof.roles.tuning import Direction, FloatRange, IntRange

    SPACE = {"x": FloatRange(-5.0, 5.0), "n": IntRange(1, 100, log=True)}

    def score(trial):
        if trial.number == 5:
            print("inside trial 5", flush=True)
            time.sleep(600)
        return float(trial.params["x"]) ** 2 + float(trial.params["n"])

    tuner = OptunaTuner(Setting(home=Path(sys.argv[1])))
    tuner.optimize("study", SPACE, score, direction=Direction.MINIMIZE, trials=12, seed=3)
    """
)


@contextmanager
def inside_trial_5(home: Path) -> Iterator[None]:
    """Another process is inside the objective of trial 5, until it is killed with SIGKILL."""
    home.mkdir(exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", CHILD, str(home)], stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "inside trial 5\n"
            yield
        finally:
            child.kill()


def test_a_study_killed_inside_a_trial_resumes_to_the_trials_of_one_that_ran_through(tmp_path: Path) -> None:
    with inside_trial_5(tmp_path / "killed"):
        pass
    ran_here: list[int] = []

    def objective(trial: Trial) -> float:
        ran_here.append(trial.number)
        return score(trial)

    resumed = tune(tmp_path / "killed", objective)
    assert ran_here == [5, 6, 7, 8, 9, 10, 11]
    assert resumed == tune(tmp_path / "through")


def test_a_study_that_another_process_runs_is_unavailable_until_that_process_ends(tmp_path: Path) -> None:
    with inside_trial_5(tmp_path / "home"), pytest.raises(Unavailable, match="being run by another process"):
        tune(tmp_path / "home")
    assert len(tune(tmp_path / "home").trials) == 12


def test_a_study_stopped_by_ctrl_c_resumes_with_the_same_trial(tmp_path: Path) -> None:
    def interrupted(trial: Trial) -> float:
        if trial.number == 4:
            raise KeyboardInterrupt
        return score(trial)

    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "stopped", interrupted)
    assert tune(tmp_path / "stopped") == tune(tmp_path / "through")


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_journal_whose_last_line_is_cut_short_resumes(tmp_path: Path, cut: int) -> None:
    tune(tmp_path / "torn", trials=6)
    (journal,) = (tmp_path / "torn").glob("*.journal")
    os.truncate(journal, journal.stat().st_size - cut)
    assert tune(tmp_path / "torn") == tune(tmp_path / "through")
    assert tune(tmp_path / "torn", lambda trial: 0.0) == tune(tmp_path / "through")


def test_a_journal_damaged_in_its_middle_is_reported_as_corrupted(tmp_path: Path) -> None:
    tune(tmp_path / "home", trials=3)
    (journal,) = (tmp_path / "home").glob("*.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"{damaged\n", *lines[2:]]))
    with pytest.raises(Corrupted, match="cannot be read"):
        tune(tmp_path / "home")


def test_a_disk_that_takes_no_more_bytes_is_a_storage_failure_and_the_study_resumes(tmp_path: Path) -> None:
    tune(tmp_path / "home", trials=4)
    (journal,) = (tmp_path / "home").glob("*.journal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 30, before[1]))
    try:
        with pytest.raises(StorageFailed, match="could not be written"):
            tune(tmp_path / "home")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert tune(tmp_path / "home") == tune(tmp_path / "through")


def test_an_os_error_of_on_trial_reaches_the_caller_unchanged(tmp_path: Path) -> None:
    def raising(trial: object) -> None:
        raise OSError("the caller's own")

    tuner = OptunaTuner(Setting(home=tmp_path))
    with pytest.raises(OSError, match="the caller's own"):
        tuner.optimize("s", SPACE, score, direction=Direction.MINIMIZE, trials=1, seed=1, on_trial=raising)


def test_a_trial_that_returns_its_last_value_when_told_to_stop_is_pruned(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        level = 1.0 if trial.number < 8 else 9.0
        for step in range(5):
            if trial.report(step, level):
                return -1.0
        return level

    last = tune(tmp_path, objective, trials=9).trials[-1]
    assert (last.status, last.value) == (TrialStatus.PRUNED, None)


def test_the_options_hold_pruning_back(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        level = 1.0 if trial.number < 8 else 9.0
        for step in range(5):
            if trial.report(step, level):
                return -1.0
        return level

    for number, options in enumerate(({"prune_after_trials": 100}, {"prune_after_steps": 50})):
        study = tune(tmp_path / str(number), objective, trials=12, **options)
        assert {trial.status for trial in study.trials} == {TrialStatus.COMPLETE}


def test_nothing_is_printed_and_no_warning_of_optuna_leaks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def objective(trial: Trial) -> float:
        trial.report(1, 1.0)
        trial.report(1, 2.0)
        if trial.number == 2:
            raise ValueError("broken")
        return float("nan") if trial.number == 3 else 1.0

    assert len(tune(tmp_path, objective, trials=15).trials) == 15
    assert capfd.readouterr() == ("", "")


def test_warnings_of_the_objective_reach_the_user(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        warnings.warn("from the user's code", UserWarning, stacklevel=1)
        return 1.0

    with pytest.warns(UserWarning, match="from the user's code"):
        assert tune(tmp_path, objective, trials=1).best is not None


def test_the_order_of_names_in_a_space_changes_nothing(tmp_path: Path) -> None:
    through = tune(tmp_path / "a")
    turned = dict(reversed(SPACE.items()))
    (tmp_path / "b").mkdir()
    tuner = OptunaTuner(Setting(home=tmp_path / "b"))
    study = tuner.optimize("study", turned, score, direction=Direction.MINIMIZE, trials=12, seed=3)
    assert study == through


def test_an_objective_that_changes_its_parameters_changes_no_record(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        before = score(trial)
        trial.params.clear()  # type: ignore[attr-defined]  # a caller without types may do this
        return before

    assert tune(tmp_path / "a", objective) == tune(tmp_path / "b")


def test_the_sampler_does_better_than_its_random_start(tmp_path: Path) -> None:
    study = tune(tmp_path, trials=60)
    values = [trial.value for trial in study.trials if trial.value is not None]
    assert sum(values[-20:]) < sum(values[:20])


def test_a_study_is_not_held_after_its_call(tmp_path: Path) -> None:
    tune(tmp_path, trials=1)
    (journal,) = tmp_path.glob("*.journal")
    with journal.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_home_that_is_gone_is_told_by_the_health_and_not_raised(tmp_path: Path) -> None:
    health = OptunaTuner(Setting(home=tmp_path / "gone")).health()
    assert not health.ok
    assert "cannot write" in health.detail


def test_a_finished_study_compares_equal_when_read_back(tmp_path: Path) -> None:
    study = tune(tmp_path)
    assert tune(tmp_path) == study
    assert replace(study.trials[0], value=None) != study.trials[0]
