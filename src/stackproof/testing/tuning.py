"""The contract of `stackproof.roles.tuning` as tests that any tuner can run."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Conflict, RefusedInput
from stackproof.roles.tuning import (
    Choice,
    Direction,
    FinishedTrial,
    FloatRange,
    IntRange,
    ParamValue,
    PrunedTrial,
    Space,
    Study,
    Trial,
    TrialStatus,
)
from stackproof.testing.conformance import Conformance, needs

SPACE: Space = {
    "rate": FloatRange(0.001, 1.0, log=True),
    "shift": FloatRange(-2.0, 2.0),
    "depth": IntRange(1, 9),
    "leaves": IntRange(1, 1024, log=True),
    "kind": Choice(("tree", "größe", "linear")),
    "flag": Choice((True, False)),
    "mixed": Choice(("none", 3, 0.5)),
}
EMPTY: Mapping[str, Space] = {
    "a space without parameters": {},
    "a float range whose low is above its high": {"x": FloatRange(1.0, 0.0)},
    "an integer range whose low is above its high": {"x": IntRange(2, 1)},
    "a choice without values": {"x": Choice(())},
    "a log range that starts at zero": {"x": FloatRange(0.0, 1.0, log=True)},
}


def bowl(trial: Trial) -> float:
    """Smallest where `rate` is 0.03 and `shift` is 1."""
    rate, shift = trial.params["rate"], trial.params["shift"]
    assert isinstance(rate, float)
    assert isinstance(shift, float)
    return (math.log10(rate) + 1.5) ** 2 + (shift - 1) ** 2


def run(tuner: Any, objective: Callable[[Trial], float] = bowl, **changes: Any) -> Study:
    """One study with the arguments that a test does not care about filled in."""
    request: dict[str, Any] = {
        "name": "study",
        "space": SPACE,
        "direction": Direction.MINIMIZE,
        "trials": 8,
        "seed": 7,
    } | changes
    name, space = request.pop("name"), request.pop("space")
    study: Study = tuner.optimize(name, space, objective, **request)
    return study


def is_inside(value: ParamValue, domain: FloatRange | IntRange | Choice) -> bool:
    """Whether the value, with its type, is one that the domain allows."""
    if isinstance(domain, Choice):
        return any(value == allowed and type(value) is type(allowed) for allowed in domain.values)
    kind = int if isinstance(domain, IntRange) else float
    return type(value) is kind and domain.low <= value <= domain.high


class TuningConformance(Conformance):
    """Subclasses give `make`."""

    def test_it_runs_the_trials_asked_for_and_numbers_them_from_zero(self, adapter: Any) -> None:
        study = run(adapter, trials=5)
        assert study.name == "study"
        assert study.direction is Direction.MINIMIZE
        assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4]
        assert {trial.status for trial in study.trials} == {TrialStatus.COMPLETE}

    def test_every_parameter_lies_in_its_range_and_has_its_type(self, adapter: Any) -> None:
        for trial in run(adapter, trials=20).trials:
            assert set(trial.params) == set(SPACE)
            assert all(is_inside(value, SPACE[name]) for name, value in trial.params.items()), trial.params

    def test_a_range_of_one_value_gives_that_value(self, adapter: Any) -> None:
        space = {"x": FloatRange(0.5, 0.5), "n": IntRange(3, 3), "c": Choice(("only",))}
        study = run(adapter, lambda trial: 1.0, space=space, trials=3)
        assert [dict(trial.params) for trial in study.trials] == [{"x": 0.5, "n": 3, "c": "only"}] * 3

    def test_the_objective_sees_the_number_and_parameters_that_the_study_reports(self, adapter: Any) -> None:
        seen: list[tuple[int, dict[str, ParamValue]]] = []

        def objective(trial: Trial) -> float:
            seen.append((trial.number, dict(trial.params)))
            return 0.0

        study = run(adapter, objective, trials=4)
        assert seen == [(trial.number, dict(trial.params)) for trial in study.trials]

    def test_the_same_seed_gives_the_same_trials(self, adapter: Any, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        other = self.make(elsewhere)
        try:
            assert run(adapter, trials=15) == run(other, trials=15)
        finally:
            other.close()

    @pytest.mark.parametrize(("direction", "choose"), [(Direction.MINIMIZE, min), (Direction.MAXIMIZE, max)])
    def test_the_best_trial_is_the_complete_one_with_the_best_value(
        self, adapter: Any, direction: Direction, choose: Callable[..., float]
    ) -> None:
        study = run(adapter, direction=direction)
        assert study.best is not None
        assert study.best in study.trials
        assert study.best.value == choose(trial.value for trial in study.trials)

    @pytest.mark.parametrize("direction", list(Direction))
    def test_on_equal_values_the_earlier_trial_is_best(self, adapter: Any, direction: Direction) -> None:
        study = run(adapter, lambda trial: 1.0, direction=direction, trials=4)
        assert study.best == study.trials[0]

    def test_an_objective_that_raises_makes_a_failed_trial_and_the_study_goes_on(self, adapter: Any) -> None:
        def objective(trial: Trial) -> float:
            if trial.number == 1:
                raise ValueError("no rows left")
            return float(trial.number)

        study = run(adapter, objective, trials=3)
        failed = study.trials[1]
        assert (failed.status, failed.value) == (TrialStatus.FAILED, None)
        assert failed.error is not None
        assert "no rows left" in failed.error
        assert [trial.value for trial in study.trials] == [0.0, None, 2.0]
        assert study.best == study.trials[0]

    def test_an_objective_that_returns_nan_makes_a_failed_trial(self, adapter: Any) -> None:
        study = run(adapter, lambda trial: math.nan if trial.number == 0 else 5.0, trials=2)
        assert (study.trials[0].status, study.trials[0].value) == (TrialStatus.FAILED, None)
        assert study.trials[0].error
        assert study.best == study.trials[1]

    def test_a_study_without_a_complete_trial_has_no_best(self, adapter: Any) -> None:
        assert run(adapter, lambda trial: math.nan, trials=2).best is None

    def test_a_pruned_trial_has_no_value_and_no_error(self, adapter: Any) -> None:
        def objective(trial: Trial) -> float:
            trial.report(0, 1.0)
            raise PrunedTrial

        (trial,) = run(adapter, objective, trials=1).trials
        assert (trial.status, trial.value, trial.error) == (TrialStatus.PRUNED, None, None)

    def test_each_trial_is_heard_of_once_and_in_order(self, adapter: Any) -> None:
        heard: list[FinishedTrial] = []
        study = run(adapter, on_trial=heard.append, trials=6)
        assert tuple(heard) == study.trials

    def test_a_timeout_ends_the_study_before_all_its_trials(self, adapter: Any) -> None:
        def slow(trial: Trial) -> float:
            time.sleep(0.02)
            return 0.0

        assert len(run(adapter, slow, trials=100_000, timeout_s=0.1).trials) < 100_000

    def test_ctrl_c_in_an_objective_is_raised(self, adapter: Any) -> None:
        def interrupted(trial: Trial) -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(adapter, interrupted)

    def test_studies_of_different_names_do_not_mix(self, adapter: Any) -> None:
        odd_name = "größe/../Ω 🚀 " + "n" * 300
        assert len(run(adapter, name=odd_name, trials=2).trials) == 2
        other = run(adapter, lambda trial: 0.0, name="plain", space={"y": IntRange(0, 1)}, trials=3)
        assert {tuple(trial.params) for trial in other.trials} == {("y",)}

    @pytest.mark.parametrize("fault", EMPTY)
    def test_an_empty_space_or_range_is_refused_before_any_trial(self, adapter: Any, fault: str) -> None:
        def never(trial: Trial) -> float:
            raise AssertionError("the objective was called")

        with pytest.raises(RefusedInput):
            run(adapter, never, space=EMPTY[fault])

    def test_another_space_under_the_same_name_is_a_conflict(self, adapter: Any) -> None:
        run(adapter, trials=1)
        with pytest.raises(Conflict):
            run(adapter, space={**SPACE, "shift": FloatRange(-2.0, 3.0)})

    def test_another_direction_under_the_same_name_is_a_conflict(self, adapter: Any) -> None:
        run(adapter, trials=1)
        with pytest.raises(Conflict):
            run(adapter, direction=Direction.MAXIMIZE)

    def test_a_trial_far_worse_than_the_others_is_told_to_stop(self, adapter: Any) -> None:
        needs(adapter, "prune")

        def objective(trial: Trial) -> float:
            level = 1.0 if trial.number < 20 else 100.0
            for step in range(10):
                if trial.report(step, level):
                    raise PrunedTrial
            return level

        study = run(adapter, objective, trials=23)
        assert TrialStatus.PRUNED in {trial.status for trial in study.trials[20:]}
        assert {trial.status for trial in study.trials[:20]} == {TrialStatus.COMPLETE}

    def test_a_study_goes_on_in_a_new_adapter_as_if_it_had_never_stopped(
        self, adapter: Any, home: Path, tmp_path: Path
    ) -> None:
        needs(adapter, "resume")
        first = run(adapter, trials=6)
        adapter.close()
        heard: list[FinishedTrial] = []
        resumed = run(self.make(home), trials=14, on_trial=heard.append)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        assert resumed.trials[:6] == first.trials
        assert tuple(heard) == resumed.trials[6:]
        assert resumed == run(self.make(elsewhere), trials=14)

    def test_a_study_that_has_its_trials_calls_no_objective(self, adapter: Any, home: Path) -> None:
        needs(adapter, "resume")
        finished = run(adapter, trials=4)
        adapter.close()
        assert run(self.make(home), lambda trial: -1.0, trials=4) == finished

    def test_pruned_and_failed_trials_count_when_a_study_goes_on(self, adapter: Any, home: Path) -> None:
        needs(adapter, "resume")

        def objective(trial: Trial) -> float:
            if trial.number == 0:
                raise PrunedTrial
            raise ValueError("broken")

        stopped = run(adapter, objective, trials=2)
        adapter.close()
        resumed = run(self.make(home), trials=3)
        assert resumed.trials[:2] == stopped.trials
        assert len(resumed.trials) == 3

    def test_a_conflict_is_found_by_a_new_adapter_too(self, adapter: Any, home: Path) -> None:
        needs(adapter, "resume")
        run(adapter, trials=1)
        adapter.close()
        with pytest.raises(Conflict):
            run(self.make(home), direction=Direction.MAXIMIZE)
