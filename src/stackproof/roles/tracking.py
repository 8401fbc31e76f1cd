"""Tracking: experiments, runs, metrics, artifacts, and the model registry.

Capabilities: "write-runs" (`RunWriter`), "read-runs" (`RunReader`), "registry" (`Registry`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

Param: TypeAlias = str | int | float | bool | None


class RunStatus(StrEnum):
    """RUNNING turns once into one of the others and never back."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Metric:
    """One point of a metric. `value` may be NaN or infinite and is kept exactly. `at` is UTC."""

    name: str
    value: float
    step: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file or folder kept with a run. `digest` is "sha256:…" of its content, `size` in bytes."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. `metrics` holds the last value of each, by step, then by order of writing."""

    id: str
    experiment: str
    name: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    params: Mapping[str, Param]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model package. `version` counts from 1 without holes. Never changes but for `aliases`."""

    name: str
    version: int
    run_id: str
    digest: str
    created_at: datetime
    aliases: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"model:{self.name}@{self.version}"


class RunWriter(Protocol):
    """Capability "write-runs". Each call is atomic. Writing to an ended run raises `Conflict`."""

    def start_run(
        self,
        experiment: str,
        *,
        run_id: str,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run under the identifier `run_id` ("run:…"), chosen by the caller.

        Idempotent: the same `run_id` again returns the run as it stands.
        Raises `RefusedInput` for an empty experiment.
        """
        ...

    def log_params(self, run_id: str, params: Mapping[str, Param]) -> None:
        """Add parameters. The same name with the same value is no change; another value raises `Conflict`."""
        ...

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Append points, in order. Accepts; durable once `flush` or `end_run` returned."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; the last value wins."""
        ...

    def log_artifact(self, run_id: str, name: str, path: Path) -> Artifact:
        """Keep a copy of the file or folder at `path` under `name` (a relative path without "..").

        The same name again replaces it. Raises `NotFound` when `path` does not exist.
        """
        ...

    def end_run(self, run_id: str, status: RunStatus) -> Run:
        """End the run. Durable when it returns. Ending again with the same status is no change."""
        ...

    def flush(self) -> None:
        """Return once everything accepted is durable. Raises `StorageFailed`."""
        ...


class RunReader(Protocol):
    """Capability "read-runs". A writer reads what it wrote once `flush` returned."""

    def get_run(self, run_id: str) -> Run:
        """Raises `NotFound`."""
        ...

    def search_runs(
        self,
        experiment: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        order_by_metric: str | None = None,
        descending: bool = True,
        limit: int = 100,
    ) -> list[Run]:
        """Runs that have all of `tags`. Newest first, or by the last value of a metric.

        With `order_by_metric`, runs without it or with NaN come last. None found is an empty list.
        """
        ...

    def metric_history(self, run_id: str, name: str) -> list[Metric]:
        """All points by step, then by order of writing. A metric never written is an empty list."""
        ...

    def list_artifacts(self, run_id: str) -> list[Artifact]:
        """By name."""
        ...

    def fetch_artifact(self, run_id: str, name: str, into: Path) -> Path:
        """Copy an artifact to `into` / its last name part, verified against its digest.

        Raises `NotFound`, or `Corrupted` and leaves nothing behind.
        """
        ...


class Registry(Protocol):
    """Capability "registry"."""

    def register_model(self, name: str, package: Path, *, run_id: str) -> ModelVersion:
        """Register the model package (a folder) at `package`. Durable when it returns.

        Idempotent by content: the same bytes from the same run return the version made before.
        """
        ...

    def get_model(self, name: str, version: int | str) -> ModelVersion:
        """By number, or by alias when a string. Raises `NotFound`."""
        ...

    def list_models(self) -> list[ModelVersion]:
        """All versions, by name, then version."""
        ...

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point `alias` at a version; it leaves the one that had it. Raises `NotFound`."""
        ...

    def fetch_model(self, name: str, version: int, into: Path) -> Path:
        """Copy the package to the folder `into` (made new), verified. Raises `NotFound`, `Corrupted`."""
        ...
