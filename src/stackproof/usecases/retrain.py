"""An alert starts the training pipeline; the new version is deployed as a canary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackproof.errors import Conflict
from stackproof.ledger import Link, Relation
from stackproof.roles.serving import Deployment
from stackproof.stack.data import Datasets
from stackproof.stack.deployments import deploy, latest_entity
from stackproof.stack.pipeline import PipelineRun
from stackproof.stack.workspace import Workspace
from stackproof.usecases.runs import run


@dataclass(frozen=True, slots=True)
class Retrained:
    """The run that an alert started, and the deployment with its model as a canary."""

    alert_id: str
    run: PipelineRun
    deployment: Deployment


def retrain(
    workspace: Workspace,
    alert_id: str,
    *,
    pipeline: str,
    params: Mapping[str, Any],
    deployment: str,
    canary: float = 0.1,
) -> Retrained:
    """Run the pipeline because of an alert and give its model the share `canary` of the deployment.

    The datasets' sources are looked at anew. The versions that served before keep their proportions.
    Raises `NotFound` for an unknown alert, `Conflict` when the pipeline registered no model of the
    deployment's name.
    """
    workspace.ledger.get(alert_id)
    Datasets(workspace).forget()
    done = run(workspace, pipeline, params)
    workspace.ledger.record(Link(done.run_id, Relation.USED, alert_id))
    made = next((model for model in done.models if model.name == deployment), None)
    if made is None:
        raise Conflict(
            f"The pipeline {pipeline!r} registered no new version of {deployment!r}",
            got=", ".join(model.id for model in done.models) or "no model",
            allowed=f'run.register("{deployment}", model) in one of its steps',
        )
    before = latest_entity(workspace, deployment)
    routes: Any = before.attributes["routes"] if before is not None else []
    total = sum(weight for _, _, _, weight in routes) or 1.0
    weights = {version: (1 - canary) * weight / total for _, version, _, weight in routes if weight > 0}
    weights[made.version] = canary if weights else 1.0
    return Retrained(alert_id, done, deploy(workspace, deployment, weights, because=alert_id))
