"""The inputs that a request leaves out, filled from the feature views that the signature names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from stackproof.adapters.serving.columns import check_required, from_view
from stackproof.adapters.serving.protocol import InferRequest
from stackproof.errors import NotFound, RefusedInput, Unavailable
from stackproof.roles.features import FeatureRow, LookupRequest, OnlineFeatures, Value
from stackproof.roles.serving import Signature, TensorSpec

Sources: TypeAlias = Mapping[str, tuple[str | None, datetime | None]]


@dataclass(slots=True)
class Filled:
    """Every input by name, and per row where the looked-up ones came from."""

    columns: dict[str, Sequence[Value]]
    sources: list[dict[str, tuple[str | None, datetime | None]]] = field(default_factory=list)


def fill(request: InferRequest, signature: Signature, features: OnlineFeatures | None) -> Filled:
    """Look up what is missing. An input that the request gives wins over a view's value.

    Raises `RefusedInput` when an input stays missing, `Unavailable` when a view cannot be read.
    """
    filled = Filled(dict(request.columns), [{} for _ in range(request.rows)])
    missing = {spec.name: spec for spec in signature.inputs if spec.name not in filled.columns}
    given = {**request.columns, **request.keys}
    for view, keys in signature.views:
        if features is not None and missing and all(key in given for key in keys):
            found = _look_up(features, view, _questions(request, keys, given))
            _take(filled, view, found, missing)
    if missing:
        raise _still_missing(missing, signature, given, features is not None)
    return filled


def _questions(request: InferRequest, keys: Sequence[str], given: Mapping[str, Sequence[Value]]) -> list[LookupRequest]:
    instants = request.event_times or [None] * request.rows
    entities = zip(*(given[key] for key in keys), strict=True) if keys else [()] * request.rows
    return [
        LookupRequest(dict(zip(keys, entity, strict=True)), instant)
        for entity, instant in zip(entities, instants, strict=True)
    ]


def _look_up(features: OnlineFeatures, view: str, questions: list[LookupRequest]) -> list[FeatureRow]:
    try:
        return features.lookup(view, questions)
    except NotFound as absent:
        raise Unavailable(
            f"The feature view {view!r} is not readable online yet",
            next_command=f"stackproof features {view}",
        ) from absent


def _take(filled: Filled, view: str, found: list[FeatureRow], missing: dict[str, TensorSpec]) -> None:
    names = [name for name in missing if any(name in row.values for row in found)]
    for name in names:
        spec = missing.pop(name)
        try:
            values = from_view(spec, [row.values.get(name) for row in found])
        except RefusedInput as unfit:
            raise Unavailable(
                f"The feature view {view!r} gives values for {name!r} that the model cannot take", got=unfit
            ) from unfit
        check_required(spec, values)
        filled.columns[name] = values
    if names:
        for sources, row in zip(filled.sources, found, strict=True):
            sources[view] = (row.version, row.known_at)


def _still_missing(
    missing: Mapping[str, TensorSpec],
    signature: Signature,
    given: Mapping[str, Sequence[Value]],
    has_features: bool,
) -> RefusedInput:
    lacking = [
        f"the keys {', '.join(key for key in keys if key not in given)} of the view {view}"
        for view, keys in signature.views
        if has_features and not all(key in given for key in keys)
    ]
    names = ", ".join(map(repr, missing))
    instead = f", or {' or '.join(lacking)} to look them up" if lacking else ""
    return RefusedInput(
        f"The request lacks {len(missing)} of the model's inputs", got=f"no {names}", allowed=f"all inputs{instead}"
    )
