"""From a checked request to its answer, and to the rows that the log gets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stackproof.adapters.serving.columns import Encoder
from stackproof.adapters.serving.deployment import Version
from stackproof.adapters.serving.lookups import Sources, fill
from stackproof.adapters.serving.models import Matrix, Outputs
from stackproof.adapters.serving.protocol import InferRequest, RequestReader
from stackproof.roles.features import OnlineFeatures, Value
from stackproof.roles.serving import LoggedPrediction, TensorSpec

_NO_SOURCES: Sources = {}


@dataclass(frozen=True, slots=True)
class Question:
    """A request made ready for the model. `columns`: every input as used, in the signature's order."""

    request: InferRequest
    columns: Sequence[Sequence[Value]]
    matrix: Matrix
    sources: Sequence[Sources]


class Answerer:
    """Prepares requests for one model version, and words its answers."""

    def __init__(self, version: Version, deployment: str, name: str, max_rows: int) -> None:
        signature = version.package.signature
        self.version = version
        self.model = version.package.model
        self.read = RequestReader(signature, max_rows).read
        self._deployment = deployment
        self._name = name
        self._signature = signature
        self._inputs = [spec.name for spec in signature.inputs]
        keys = {key for _, view_keys in signature.views for key in view_keys}
        self._key_inputs = [name for name in self._inputs if name in keys]
        self._encoder = Encoder(signature.inputs, self.model.dtype)

    def needs_lookup(self, request: InferRequest) -> bool:
        return len(request.columns) < len(self._inputs)

    def prepare(self, request: InferRequest, features: OnlineFeatures | None) -> Question:
        """Raises `RefusedInput`, and what a lookup raises. Waits for the feature store."""
        columns: Mapping[str, Sequence[Value]] = request.columns
        sources: Sequence[Sources] = [_NO_SOURCES] * request.rows
        if self.needs_lookup(request):
            filled = fill(request, self._signature, features)
            columns, sources = filled.columns, filled.sources
        ordered = [columns[name] for name in self._inputs]
        return Question(request, ordered, self._encoder.matrix(ordered), sources)

    def log_rows(
        self, question: Question, outputs: Outputs, at: datetime, new_id: Callable[[], str]
    ) -> list[LoggedPrediction]:
        """One row per row of the request, in order."""
        request = question.request
        instants = request.event_times or [None] * request.rows
        model_id = self.version.route.model_id
        entity_columns = {
            **request.keys,
            **{key: request.columns[key] for key in self._key_inputs if key in request.columns},
        }
        rows = zip(
            _records(self._inputs, question.columns, request.rows),
            _records(list(entity_columns), list(entity_columns.values()), request.rows),
            _output_records(outputs, request.rows),
            question.sources,
            instants,
            strict=True,
        )
        return [
            LoggedPrediction(
                id=new_id(),
                request_id=request.id,
                deployment=self._deployment,
                model=model_id,
                at=at,
                event_time=instant,
                entity=entity,
                features=features,
                sources=sources,
                output=output,
            )
            for features, entity, output, sources, instant in rows
        ]

    def body(self, question: Question, outputs: Outputs, prediction_ids: list[str]) -> dict[str, Any]:
        """The answer as in Open Inference Protocol v2; NaN in an output becomes null."""
        specs = {spec.name: spec for spec in self._signature.outputs}
        return {
            "model_name": self._name,
            "model_version": str(self.version.route.version),
            "id": question.request.id,
            "parameters": {"prediction_ids": prediction_ids},
            "outputs": [_tensor(specs[name], outputs[name]) for name in question.request.outputs],
        }


def _tensor(spec: TensorSpec, array: Any) -> dict[str, Any]:
    return {
        "name": spec.name,
        "shape": list(array.shape),
        "datatype": spec.datatype,
        "data": array.reshape(-1).tolist(),
    }


def _records(names: Sequence[str], columns: Sequence[Sequence[Value]], rows: int) -> list[dict[str, Value]]:
    if not names:
        return [{} for _ in range(rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _output_records(outputs: Outputs, rows: int) -> list[dict[str, Value]]:
    """An output with a column per class becomes `name[0]`, `name[1]`, …"""
    columns: dict[str, Sequence[Value]] = {}
    for name, array in outputs.items():
        if array.ndim == 1:
            columns[name] = array.tolist()
        else:
            columns |= {f"{name}[{index}]": array[:, index].tolist() for index in range(array.shape[1])}
    return _records(list(columns), list(columns.values()), rows)
