"""List runs, run a pipeline, and show anything that the ledger knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackproof.errors import UnknownName
from stackproof.ledger import Entity, Link
from stackproof.roles.tracking import Run
from stackproof.stack.pipeline import PipelineRun, run_pipeline
from stackproof.stack.tracked import settle
from stackproof.stack.workspace import Workspace
from stackproof.usecases.attach_runs import only_attached, recorded_runs


@dataclass(frozen=True, slots=True)
class Shown:
    """An entity with what it came from and what came from it."""

    entity: Entity
    upstream: tuple[Link, ...]
    downstream: tuple[Link, ...]


def list_runs(
    workspace: Workspace, *, limit: int = 20, order_by: str | None = None, descending: bool = True
) -> list[Run]:
    """The project's runs, newest first or by a metric. Raises `UnknownName` for a metric that none of them has.

    Of a project that only joined a server: the runs that were read from it.
    """
    runs: list[Run]
    if only_attached(workspace):
        runs = recorded_runs(workspace.ledger, limit=limit, order_by=order_by, descending=descending)
    else:
        settle(workspace)
        reader = workspace.live.adapter("tracking", "read-runs")
        runs = reader.search_runs(workspace.project.name, order_by_metric=order_by, descending=descending, limit=limit)
    known = {name for run in runs for name in run.metrics}
    if order_by is not None and runs and order_by not in known:
        raise UnknownName("metric", order_by, known, next_command="stackproof runs")
    return runs


def run(workspace: Workspace, pipeline: str, params: Mapping[str, Any], *, fresh: bool = False) -> PipelineRun:
    """Run a pipeline of the project by name. Raises `UnknownName`."""
    pipelines = workspace.project.pipelines
    if pipeline not in pipelines:
        raise UnknownName("pipeline", pipeline, pipelines)
    return run_pipeline(workspace, pipelines[pipeline], params, fresh=fresh)


def show(workspace: Workspace, identifier: str) -> Shown:
    """One entity of the ledger with its links. Raises `NotFound`."""
    entity = workspace.ledger.get(identifier)
    return Shown(
        entity,
        tuple(workspace.ledger.links_from(identifier)),
        tuple(workspace.ledger.links_to(identifier)),
    )
