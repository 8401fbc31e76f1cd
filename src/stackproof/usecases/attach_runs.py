"""The runs that were read from an MLflow server, as runs."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stackproof.ledger import Entity, Ledger
from stackproof.roles.tracking import Run, RunStatus
from stackproof.stack.attached import ATTACHED
from stackproof.stack.project import STACK_FILE
from stackproof.stack.workspace import Workspace
from stackproof.usecases.attach_keeping import latest
from stackproof.usecases.attach_mlflow import attached_server

AT_MOST = 1_000_000
_STATES = {state.value: state for state in RunStatus}


def only_attached(workspace: Workspace) -> bool:
    """Whether the project has no code of its own, so that all its runs are those that were read."""
    return workspace.project.file.name == STACK_FILE and attached_server(workspace.ledger) is not None


def recorded_runs(ledger: Ledger, *, limit: int, order_by: str | None, descending: bool) -> list[Run]:
    """As they were last read. Newest first, or by the last value of a metric; runs without it come last."""
    runs = [
        _run(entity, latest(ledger, entity)) for entity in ledger.find("run", where={ATTACHED: "mlflow"}, limit=AT_MOST)
    ]
    runs.sort(key=lambda run: run.started_at, reverse=True)
    if order_by is not None:
        sign = -1 if descending else 1
        runs.sort(key=lambda run: _rank(run.metrics.get(order_by), sign))
    return runs[:limit]


def _rank(value: float | None, sign: int) -> tuple[bool, float]:
    missing = value is None or math.isnan(value)
    return missing, 0.0 if value is None or missing else sign * value


def _run(entity: Entity, facts: Mapping[str, Any]) -> Run:
    ended = facts.get("ended_at")
    return Run(
        id=entity.id,
        experiment=str(facts.get("experiment", "")),
        name=str(facts.get("name", "")),
        status=_STATES.get(str(facts.get("status")), RunStatus.RUNNING),
        started_at=entity.at,
        ended_at=datetime.fromisoformat(ended) if ended else None,
        params=facts.get("params", {}),
        metrics=facts.get("metrics", {}),
        tags=facts.get("tags", {}),
    )
