"""Is the definition of a view sound? It is asked before any table is read, and needs nothing but the definition."""

from datetime import timedelta

from stackproof.errors import RefusedInput
from stackproof.roles.features import FeatureView


def check_view(view: FeatureView) -> None:
    """Raises `RefusedInput` with one line for each fault of the definition itself."""
    faults = [*_faults_of_features(view), *_faults_of_spans(view)]
    if not view.entity:
        faults.append("it names no entity column")
    if len(set(view.entity)) != len(view.entity):
        faults.append("it names an entity column twice")
    if faults:
        raise RefusedInput(f"The feature view {view.name!r} is not sound", faults=faults)


def _faults_of_features(view: FeatureView) -> list[str]:
    if not view.features:
        return ["it has no feature"]
    faults = []
    names = [feature.name for feature in view.features]
    faults += [f"it has the feature {name!r} twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    aggregated = [feature.aggregate is not None for feature in view.features]
    if any(aggregated) and not all(aggregated):
        faults.append("it mixes plain columns and aggregates; make two views of them")
    if any(aggregated) and view.window is None:
        faults.append("its aggregates need a window")
    if not any(aggregated) and view.window is not None:
        faults.append("its window needs aggregates")
    return faults


def _faults_of_spans(view: FeatureView) -> list[str]:
    faults = []
    if view.window is not None and view.window <= timedelta(0):
        faults.append(f"its window of {view.window} is not longer than 0")
    if view.max_age is not None and view.max_age < timedelta(0):
        faults.append(f"its max_age of {view.max_age} is negative")
    if view.window is not None and view.max_age is not None:
        faults.append("it has a window and a max_age; an aggregate is as old as its window")
    return faults
