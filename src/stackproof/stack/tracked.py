"""A run's two records, the ledger's and the tracking tool's, kept in step.

Where both share one store they are one write. Elsewhere the ledger is written first, and the tool after it; what could
not be carried there, because the tool or this process was gone, is carried by the next command. A run's attributes in
the ledger say how far that is: `tracking` names the tool, `tracked` the state that the tool confirmed.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stackproof.errors import NotFound, StackproofError, Unavailable
from stackproof.ledger import Entity, Link
from stackproof.roles.tracking import RunStatus
from stackproof.stack.processes import is_gone, this_process
from stackproof.stack.workspace import Workspace

PROCESS = "stackproof.process"
RECENT = 20
NEVER_STARTED = "never started"


def start_run(
    workspace: Workspace,
    run: Entity,
    *records: Entity | Link,
    name: str,
    params: Mapping[str, str | int | float | bool | None],
) -> None:
    """Record the run and what belongs to it, and start it in the tracking tool.

    When the tool can't start it, the run is failed in the ledger, and the tool's error is raised.
    """
    tracking = workspace.live.adapter("tracking", "write-runs")

    def begin() -> None:
        tracking.start_run(workspace.project.name, run_id=run.id, name=name, tags={PROCESS: this_process()})
        tracking.log_params(run.id, params)

    if workspace.live.shares_store("tracking", "write-runs"):
        with workspace.store.database.transaction():
            workspace.ledger.record(run, *records)
            begin()
        return
    tool = workspace.live.tool("tracking", "write-runs")
    here: dict[str, Any] = {"tracking": tool, "process": this_process()}
    workspace.ledger.record(run, Entity(run.id, "run", run.at, here), *records)
    try:
        begin()
    except StackproofError:
        end_run(workspace, run.id, RunStatus.FAILED)
        raise


def end_run(workspace: Workspace, run_id: str, status: RunStatus, *records: Entity | Link) -> None:
    """End the run in both, with `records` in the same write as the ledger's part. Durable when it returns.

    A tracking tool that does not answer leaves its part to a later `settle`.
    """
    ended = Entity(run_id, "run", workspace.clock(), {"status": status.value})
    if workspace.live.shares_store("tracking", "write-runs"):
        with workspace.store.database.transaction():
            workspace.live.adapter("tracking", "write-runs").end_run(run_id, status)
            workspace.ledger.record(ended, *records)
        return
    other = _other_registry(workspace)
    with workspace.store.database.transaction():
        if other is not None:
            with suppress(NotFound):
                other.end_run(run_id, status)
        workspace.ledger.record(ended, *records)
    with suppress(Unavailable):
        _carry(workspace, run_id, status)


def registry_for(workspace: Workspace, run_id: str) -> Any:
    """The registry, which knows the run then: one that is not the tool of the runs is told of it first."""
    other = _other_registry(workspace)
    if other is not None:
        other.start_run(workspace.project.name, run_id=run_id)
    return workspace.live.adapter("tracking", "registry")


def _other_registry(workspace: Workspace) -> Any:
    """The registry where it is another tool than that of the runs, and keeps runs of its own; else None."""
    live = workspace.live
    if live.tool("tracking", "registry") == live.tool("tracking", "write-runs"):
        return None
    registry = live.adapter("tracking", "registry")
    return registry if "write-runs" in registry.capabilities else None


def settle(workspace: Workspace) -> None:
    """Mark recent runs as killed whose process is gone, and carry to the tracking tool what it has not heard."""
    if workspace.live.shares_store("tracking", "write-runs"):
        _close_killed(workspace)
        return
    tool = workspace.live.tool("tracking", "write-runs")
    for run in workspace.ledger.find("run", where={"project": workspace.project.name, "tracking": tool}, limit=RECENT):
        facts: Any = run.attributes
        if "tracked" in facts:
            continue
        if "status" in facts:
            _carry(workspace, run.id, RunStatus(facts["status"]))
        elif is_gone(facts["process"]):
            end_run(workspace, run.id, RunStatus.KILLED)


def _close_killed(workspace: Workspace) -> None:
    reader = workspace.live.adapter("tracking", "read-runs")
    for run in reader.search_runs(workspace.project.name, limit=RECENT):
        process = run.tags.get(PROCESS)
        if run.status is RunStatus.RUNNING and process is not None and is_gone(process):
            end_run(workspace, run.id, RunStatus.KILLED)


def _carry(workspace: Workspace, run_id: str, status: RunStatus) -> None:
    """End the run in the tool, once; a run that it never started stays unknown to it."""
    try:
        found = workspace.live.adapter("tracking", "read-runs").get_run(run_id).status
        if found is RunStatus.RUNNING:
            workspace.live.adapter("tracking", "write-runs").end_run(run_id, status)
        tracked = status.value if found is RunStatus.RUNNING else found.value
    except NotFound:
        tracked = NEVER_STARTED
    workspace.ledger.record(Entity(run_id, "run", workspace.clock(), {"tracked": tracked}))
