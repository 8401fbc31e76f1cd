"""What a project file declares: datasets, feature views, steps, pipelines. Declaring runs nothing."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.features import Aggregate, Feature, FeatureView
from stackproof.roles.validation import Expectation
from stackproof.stack.durations import parse_duration

RUN = "run"
FEATURES = "features"
SPECIAL = (RUN, FEATURES)
"""Parameter names of a step that Stackproof fills itself."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named source of rows. `function` takes the datasets named by its parameters and returns a table."""

    name: str
    function: Callable[..., Any]
    expectations: tuple[Expectation, ...]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the datasets that this one is derived from, in order."""
        return tuple(inspect.signature(self.function).parameters)


@dataclass(frozen=True, slots=True)
class Step:
    """A cached function of a pipeline.

    Positional parameters name other steps or datasets, `run` and `features` are given by Stackproof,
    keyword-only parameters with defaults are the step's parameters.
    """

    name: str
    function: Callable[..., Any]
    views: tuple[FeatureView, ...] = ()

    def __call__(self, *arguments: Any, **parameters: Any) -> Any:
        return self.function(*arguments, **parameters)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the steps and datasets that the function takes, in order."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.name not in SPECIAL)

    @property
    def sources(self) -> tuple[str, ...]:
        """The inputs, then the sources of its views."""
        return tuple(dict.fromkeys((*self.inputs, *(view.source for view in self.views))))

    @property
    def defaults(self) -> dict[str, Any]:
        """The step's own parameters with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def takes(self, special: str) -> bool:
        return special in inspect.signature(self.function).parameters


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in an order that respects their inputs."""

    name: str
    steps: tuple[Step, ...]

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter of every step with its value. Raises `UnknownName` for one that no step has."""
        merged: dict[str, Any] = {}
        for step in self.steps:
            merged |= step.defaults
        for name in given:
            if name not in merged:
                raise UnknownName(f"parameter of the pipeline {self.name!r}", name, merged)
        return merged | dict(given)

    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets that the steps take, in order of first use."""
        steps = {step.name for step in self.steps}
        names = (name for step in self.steps for name in step.sources if name not in steps)
        return tuple(dict.fromkeys(names))

    def views(self) -> tuple[FeatureView, ...]:
        """The feature views that the steps join, in order of first use."""
        return tuple(dict.fromkeys(view for step in self.steps for view in step.views))


@dataclass(frozen=True, slots=True)
class Aggregation:
    """An aggregate of a column, to be given to `feature_view` with a window."""

    column: str
    how: Aggregate


def mean(column: str) -> Aggregation:
    """The mean over the window; missing when the window is empty."""
    return Aggregation(column, Aggregate.MEAN)


def count(column: str) -> Aggregation:
    """How many values there are in the window."""
    return Aggregation(column, Aggregate.COUNT)


def total(column: str) -> Aggregation:
    """The sum over the window; 0 when the window is empty."""
    return Aggregation(column, Aggregate.SUM)


def view_of(
    name: str,
    source: Dataset,
    entity: str | Sequence[str],
    known_at: str,
    features: Sequence[str] | Mapping[str, str | Aggregation],
    window: str | timedelta | None,
    max_age: str | timedelta | None,
) -> FeatureView:
    """A `FeatureView` from the short forms that a project file uses. Raises `RefusedInput`."""
    named = dict(features) if isinstance(features, Mapping) else {column: column for column in features}
    made = tuple(
        Feature(feature, what.column, what.how) if isinstance(what, Aggregation) else Feature(feature, what)
        for feature, what in named.items()
    )
    aggregated = [feature for feature in made if feature.aggregate is not None]
    if not made or (aggregated and len(aggregated) != len(made)) or bool(aggregated) != (window is not None):
        raise RefusedInput(
            f"The feature view {name!r} mixes kinds of feature",
            got=", ".join(named) or "no feature",
            allowed="either columns alone without a window, or aggregates alone with window=…",
        )
    return FeatureView(
        name=name,
        source=source.name,
        entity=(entity,) if isinstance(entity, str) else tuple(entity),
        known_at=known_at,
        features=made,
        window=None if window is None else parse_duration(window),
        max_age=None if max_age is None else parse_duration(max_age),
    )


def pipeline_of(name: str, steps: Sequence[Step], datasets: Mapping[str, Dataset]) -> Pipeline:
    """A pipeline with its steps in order. Raises `RefusedInput` for an unknown input or a cycle."""
    by_name = {step.name: step for step in steps}
    for step in steps:
        for needed in step.sources:
            if needed not in by_name and needed not in datasets:
                raise UnknownName(f"step or dataset for the step {step.name!r}", needed, {**by_name, **datasets})
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        done = {step.name for step in ordered}
        ready = [s for s in waiting if all(i in done or i not in by_name for i in s.sources)]
        if not ready:
            raise RefusedInput(
                f"The steps of the pipeline {name!r} wait for each other",
                got=", ".join(step.name for step in waiting),
                allowed="steps whose inputs form no cycle",
            )
        ordered += ready
        waiting = [step for step in waiting if step not in ready]
    return Pipeline(name, tuple(ordered))
