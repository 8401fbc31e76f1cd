"""Serving: models behind an HTTP endpoint that speaks Open Inference Protocol v2 (REST).

Capabilities: "serve" (`ModelServer`), "canary" (more than one route with weights).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from stackproof.roles.features import OnlineFeatures, Value

SIGNATURE_FILE = "signature.json"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named input or output. `datatype` as in Open Inference Protocol v2: "FP64", "INT64",
    "BOOL", "BYTES". `categories`: for BYTES, the known values in the order of their codes; another
    value is treated as missing by the model. `required`: a missing or null value is refused.
    """

    name: str
    datatype: str
    categories: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model package takes and gives.

    `format`: "xgboost-json" or "onnx"; `file`: the model's file in the package. `inputs`: in the
    model's column order. `views`: the feature views that fill the inputs which a request leaves
    out, each with its key columns. `outputs`: in the model's order.
    """

    format: str
    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    views: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def write(self, package: Path) -> None:
        """Write `signature.json` into the package folder."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        (package / SIGNATURE_FILE).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def read(package: Path) -> "Signature":
        """Read it back. Raises `FileNotFoundError`, or `ValueError`/`KeyError`/`TypeError` when malformed."""
        data = json.loads((package / SIGNATURE_FILE).read_text(encoding="utf-8"))
        return Signature(
            format=data["format"],
            file=data["file"],
            inputs=_specs(data["inputs"]),
            outputs=_specs(data["outputs"]),
            views=tuple((name, tuple(keys)) for name, keys in data["views"]),
        )


def _specs(items: Sequence[Mapping[str, object]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=str(item["name"]),
            datatype=str(item["datatype"]),
            categories=tuple(item.get("categories") or ()),  # type: ignore[arg-type]  # JSON list of strings
            required=bool(item.get("required", False)),
        )
        for item in items
    )


@dataclass(frozen=True, slots=True)
class Route:
    """One model version of a deployment. `package` is its folder; `weight` its share, >= 0."""

    model: str
    version: int
    package: Path
    weight: float

    @property
    def model_id(self) -> str:
        return f"model:{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A name, and the model versions behind it. The weights sum to more than 0."""

    id: str
    name: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One row of one request, as it was answered.

    `features`: every model input by name, as used. `sources`: for each feature view that was looked
    up, the dataset version and the instant of the row used. `at` is the server's clock, UTC;
    `event_time` the instant that the request stated for its lookups, None when it stated none.
    """

    id: str
    request_id: str
    deployment: str
    model: str
    at: datetime
    event_time: datetime | None
    entity: Mapping[str, Value]
    features: Mapping[str, Value]
    sources: Mapping[str, tuple[str | None, datetime | None]]
    output: Mapping[str, Value]


class PredictionLog(Protocol):
    """Where a server writes its predictions."""

    def append(
        self,
        predictions: Sequence[LoggedPrediction],
        done: Callable[[BaseException | None], None],
    ) -> None:
        """Accept at once; call `done(None)` from any thread when durable, `done(error)` when not."""
        ...


class ModelServer(Protocol):
    """Capability "serve".

    Open Inference Protocol v2 over REST: server live and ready, server metadata, model metadata,
    model ready, infer, with and without a model version. The model's name is the deployment's.
    A request may leave out the inputs that feature views fill when it gives their key columns as
    further inputs, and may state `parameters.event_time` (RFC 3339). The answer's `id` is the
    request's; `parameters.prediction_ids` holds one identifier per row, `model_version` the version
    that answered. 200 is sent only after the log said that the predictions are durable.
    Malformed requests get 400 with {"error": …} and change nothing; too large ones 413; too many at
    once 429; a log that cannot write 503. No pickle is loaded.
    GET /metrics tells, in the Prometheus text format and since the start, the infer requests by status
    (`stackproof_serving_requests_total`), the rows predicted (`stackproof_serving_rows_total`) and the seconds until
    an answer begins (histogram `stackproof_serving_request_seconds`), beside what the tool itself counts.
    """

    def run(
        self,
        deployment: Deployment,
        *,
        features: OnlineFeatures | None,
        log: PredictionLog,
        host: str,
        port: int,
        on_ready: Callable[[str], None],
        updates: Callable[[], Deployment | None] | None = None,
    ) -> None:
        """Serve until SIGTERM or SIGINT, then finish the requests under way and return.

        `port` 0 takes a free one; `on_ready` gets the URL once requests are answered. `updates`,
        asked about twice a second, returns a new deployment to switch to, or None for no change.
        Raises `Unavailable` when the port is in use, `RefusedInput` for a package that cannot be
        served, `Corrupted` for one that is damaged.
        """
        ...
