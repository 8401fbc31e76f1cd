"""What a project file may declare."""

from datetime import timedelta

import pytest

import stackproof as sp
from stackproof.errors import Conflict, RefusedInput, UnknownName
from stackproof.roles.features import Aggregate
from stackproof.stack.durations import parse_duration


@pytest.fixture
def project() -> sp.Project:
    return sp.Project("p", __file__)


def test_a_dataset_takes_its_name_and_inputs_from_its_function(project: sp.Project) -> None:
    @project.dataset
    def raw() -> object: ...

    @project.dataset()
    def derived(raw: object) -> object: ...

    assert list(project.datasets) == ["raw", "derived"]
    assert derived.inputs == ("raw",)


def test_declaring_a_name_twice_is_refused(project: sp.Project) -> None:
    project.dataset()(_named("rows"))
    with pytest.raises(Conflict, match="declares 'rows' twice"):
        project.dataset()(_named("rows"))


def test_a_step_knows_its_inputs_its_parameters_and_what_it_is_given(project: sp.Project) -> None:
    @project.step
    def fit(rows: object, run: sp.Run, *, seed: int = 7) -> object: ...

    assert fit.inputs == ("rows",)
    assert fit.defaults == {"seed": 7}
    assert fit.takes("run")
    assert not fit.takes("features")


def test_steps_run_in_the_order_of_their_inputs_however_they_are_listed(project: sp.Project) -> None:
    @project.step
    def second(first: object) -> object: ...

    @project.step
    def first() -> object: ...

    pipeline = project.pipeline("p", [second, first])
    assert [step.name for step in pipeline.steps] == ["first", "second"]


def test_a_step_that_takes_what_nobody_declares_is_refused_with_a_guess(project: sp.Project) -> None:
    project.dataset()(_named("flights"))

    @project.step
    def fit(flight: object) -> object: ...

    with pytest.raises(UnknownName, match="did you mean 'flights'"):
        project.pipeline("p", [fit])


def test_steps_that_wait_for_each_other_are_refused(project: sp.Project) -> None:
    @project.step
    def a(b: object) -> object: ...

    @project.step
    def b(a: object) -> object: ...

    with pytest.raises(RefusedInput, match="wait for each other"):
        project.pipeline("p", [a, b])


def test_a_parameter_that_no_step_has_is_refused_with_a_guess(project: sp.Project) -> None:
    @project.step
    def fit(*, trials: int = 5) -> object: ...

    pipeline = project.pipeline("p", [fit])
    assert pipeline.parameters({"trials": 9}) == {"trials": 9}
    with pytest.raises(UnknownName, match="did you mean 'trials'"):
        pipeline.parameters({"trails": 9})


def test_a_feature_view_takes_columns_or_aggregates_over_a_window(project: sp.Project) -> None:
    rows = project.dataset()(_named("rows"))
    plain = project.feature_view("plain", source=rows, entity="k", known_at="t", features=["x"], max_age="3h")
    window = project.feature_view(
        "window", source=rows, entity=["k", "l"], known_at="t", window="24h", features={"m": sp.mean("x")}
    )
    assert plain.max_age == timedelta(hours=3)
    assert window.features[0].aggregate is Aggregate.MEAN
    assert window.entity == ("k", "l")


@pytest.mark.parametrize(
    ("features", "window"),
    [(["x"], "24h"), ({"m": sp.mean("x")}, None), ({"m": sp.mean("x"), "y": "y"}, "1h"), ([], None)],
)
def test_a_feature_view_that_mixes_kinds_is_refused(project: sp.Project, features: object, window: str | None) -> None:
    rows = project.dataset()(_named("rows"))
    with pytest.raises(RefusedInput, match="mixes kinds"):
        project.feature_view("v", source=rows, entity="k", known_at="t", features=features, window=window)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ("1.5h", 5400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-3h", "0s", "3 weeks"])
def test_malformed_durations_are_refused(text: str) -> None:
    with pytest.raises(RefusedInput, match="duration"):
        parse_duration(text)


def _named(name: str):  # type: ignore[no-untyped-def]  # a small factory of functions
    def function() -> object: ...

    function.__name__ = name
    return function
