import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.adapters.tuning.embedded import OptunaTuner
from stackproof.adapters.tuning.random_search import RandomSearch
from stackproof.roles.adapter import Setting
from stackproof.roles.tuning import Choice, Direction, FloatRange, IntRange, Space, Study, Trial
from stackproof.testing.tuning import is_inside


def float_ranges(log: bool) -> st.SearchStrategy[FloatRange]:
    lowest = 1e-9 if log else -1e12
    bounds = st.lists(st.floats(lowest, 1e12), min_size=2, max_size=2).map(sorted)
    return bounds.map(lambda pair: FloatRange(pair[0], pair[1], log=log))


def int_ranges(log: bool) -> st.SearchStrategy[IntRange]:
    bounds = st.lists(st.integers(1 if log else -(10**9), 10**9), min_size=2, max_size=2).map(sorted)
    return bounds.map(lambda pair: IntRange(pair[0], pair[1], log=log))


values = st.one_of(st.text(max_size=5), st.integers(-5, 5), st.booleans(), st.floats(-2, 2))
choices = st.lists(values, min_size=1, max_size=4, unique=True).map(lambda some: Choice(tuple(some)))
domains = st.one_of(float_ranges(False), float_ranges(True), int_ranges(False), int_ranges(True), choices)
spaces = st.dictionaries(st.text(min_size=1, max_size=6), domains, min_size=1, max_size=4)


def tune(kind: type[OptunaTuner | RandomSearch], space: Space, seed: int, trials: int, **options: int) -> Study:
    def spread(trial: Trial) -> float:
        return float(sum(len(repr(value)) for value in trial.params.values()))

    with tempfile.TemporaryDirectory() as home:
        tuner = kind(Setting(home=Path(home), options=options))
        return tuner.optimize("s", space, spread, direction=Direction.MINIMIZE, trials=trials, seed=seed)


@settings(max_examples=25, deadline=None)
@given(spaces, st.integers(-(2**70), 2**70))
def test_optuna_stays_inside_any_space_and_repeats_itself(space: Space, seed: int) -> None:
    study = tune(OptunaTuner, space, seed, 6, startup_trials=2)
    for trial in study.trials:
        assert all(is_inside(value, space[name]) for name, value in trial.params.items()), trial
    assert tune(OptunaTuner, space, seed, 6, startup_trials=2) == study


@settings(max_examples=100, deadline=None)
@given(spaces, st.integers(-(2**70), 2**70))
def test_random_search_stays_inside_any_space_and_repeats_itself(space: Space, seed: int) -> None:
    study = tune(RandomSearch, space, seed, 20)
    for trial in study.trials:
        assert all(is_inside(value, space[name]) for name, value in trial.params.items()), trial
    assert tune(RandomSearch, space, seed, 20) == study
