"""Run a pipeline: cached, recorded, and such that it can be run again from what is recorded."""

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from stackproof.envs.locking import as_document
from stackproof.errors import StackproofError, StepFailed, Unavailable
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.features import FeatureView
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus
from stackproof.roles.tracking import ModelVersion, RunStatus
from stackproof.stack.data import Brought, Datasets
from stackproof.stack.definitions import FEATURES, RUN, Pipeline, Step
from stackproof.stack.live import EMBEDDED, fillings
from stackproof.stack.run import Features, Run, replay
from stackproof.stack.steps import StepRecord, find_step, keep_step, read_kept, step_key
from stackproof.stack.tracked import end_run, settle, start_run
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step went. `cached`: its result was taken from an earlier execution. `output`: its digest."""

    name: str
    cached: bool
    duration_s: float
    kind: str
    output: str


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A finished run. `models`: the versions that it registered, in order."""

    run_id: str
    params: Mapping[str, Any]
    datasets: Mapping[str, Brought]
    steps: tuple[StepOutcome, ...]
    models: tuple[ModelVersion, ...]


@dataclass
class _Execution:
    """The state of one run while its tasks fill it in."""

    workspace: Workspace
    run_id: str
    params: Mapping[str, Any]
    datasets: Mapping[str, Brought]
    fresh: bool
    values: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, StepOutcome] = field(default_factory=dict)
    records: dict[str, StepRecord] = field(default_factory=dict)


def run_pipeline(
    workspace: Workspace, pipeline: Pipeline, given: Mapping[str, Any] | None = None, *, fresh: bool = False
) -> PipelineRun:
    """Run a pipeline and record all that its reproduction needs.

    `given` overrides parameters. `fresh` runs every step even when its result is known. A run that
    was killed before is marked so, and what it finished is not done again. Raises `UnknownName` for
    a parameter that no step has, `StepFailed` with the error of the user's code as its cause.
    """
    settle(workspace)
    params = pipeline.parameters(given or {})
    datasets = Datasets(workspace)
    brought = {name: datasets.bring_in(name) for name in pipeline.datasets()}
    run_id = new_id("run", now=workspace.clock())
    execution = _Execution(workspace, run_id, params, brought, fresh)
    execution.values = {name: dataset.table for name, dataset in brought.items()}
    execution.digests = {name: dataset.version.digest for name, dataset in brought.items()}
    _start(execution, pipeline)
    try:
        results = _run_tasks(execution, pipeline)
    except BaseException:
        _end(execution, RunStatus.KILLED)
        raise
    failed = next((result for result in results if result.status is TaskStatus.FAILED), None)
    if failed is not None:
        _end(execution, RunStatus.FAILED)
        raise _failure(failed)
    try:
        models = _end(execution, RunStatus.FINISHED)
    except Unavailable:
        _end(execution, RunStatus.FAILED)
        raise
    outcomes = tuple(execution.outcomes[step.name] for step in pipeline.steps)
    return PipelineRun(run_id, params, brought, outcomes, models)


def feature_set_entity(workspace: Workspace, view: FeatureView) -> Entity:
    """The ledger's entity of a feature view: its definition, identified by content."""
    definition = json.dumps(asdict(view), sort_keys=True, default=str)
    digest = sha256(definition.encode()).hexdigest()
    attributes: dict[str, Any] = {
        "name": view.name,
        "definition": json.loads(definition),
        "digest": f"sha256:{digest}",
    }
    return Entity(f"features:{view.name}@{digest[:12]}", "features", workspace.clock(), attributes)


def _start(execution: _Execution, pipeline: Pipeline) -> None:
    workspace, run_id = execution.workspace, execution.run_id
    code, environment = workspace.code, workspace.environment
    views = [feature_set_entity(workspace, view) for view in pipeline.views()]
    used = [code.id, environment.id, *(view.id for view in views)]
    used += [dataset.version.id for dataset in execution.datasets.values()]
    run = Entity(run_id, "run", workspace.clock(), {
        "project": workspace.project.name, "pipeline": pipeline.name, "file": workspace.project.file.name,
        "params": dict(execution.params), "environment": environment.digest,
        "code": code.digest, "git_commit": code.commit, "git_patch": code.patch,
        "datasets": {name: dataset.version.digest for name, dataset in execution.datasets.items()},
        "steps": [step.name for step in pipeline.steps], "tools": _external_tools(workspace),
        "locks": _tool_locks(workspace),
    })  # fmt: skip
    links = [Link(run_id, Relation.USED, target) for target in used]
    params = {name: _flat(value) for name, value in execution.params.items()}
    start_run(workspace, run, *views, *links, name=pipeline.name, params=params)


def _external_tools(workspace: Workspace) -> dict[str, str]:
    """Role to the tool that fills it, where that is not embedded."""
    return {filled.role: filled.by for filled in fillings(workspace.stack) if filled.by != EMBEDDED}


def _tool_locks(workspace: Workspace) -> dict[str, str]:
    """Tool to the digest of the lock on which it runs now, for those in an environment of their own."""
    applied = {tool: workspace.environments.lock(tool) for tool in _external_tools(workspace).values()}
    return {
        tool: workspace.store.blobs.put_bytes(json.dumps(as_document(lock)).encode())
        for tool, lock in applied.items()
        if lock is not None
    }


def _flat(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)


def _run_tasks(execution: _Execution, pipeline: Pipeline) -> list[TaskResult]:
    names = {step.name for step in pipeline.steps}
    tasks = [
        Task(step.name, partial(_execute, execution, step), tuple(i for i in step.sources if i in names))
        for step in pipeline.steps
    ]
    progress, done = execution.workspace.progress, 0

    def heard(result: TaskResult) -> None:
        nonlocal done
        done += 1
        progress(f"{pipeline.name}: steps", done, len(tasks))

    runner = execution.workspace.live.adapter("orchestration", "run")
    results: list[TaskResult] = runner.run(pipeline.name, tasks, on_result=heard, run_id=execution.run_id)
    return results


def _execute(execution: _Execution, step: Step) -> None:
    """Take a step's result from the cache, or run it and keep what it returns."""
    workspace, started = execution.workspace, time.perf_counter()
    inputs = {name: execution.digests[name] for name in step.sources}
    key = step_key(workspace, step, inputs, execution.params)
    record = None if execution.fresh else find_step(workspace, key)
    cached = record is not None
    if record is not None:
        execution.values[step.name] = read_kept(workspace, record.kept)
        for entry in record.log:
            replay(workspace, execution.run_id, entry)
    else:
        record = _run_step(execution, step, key)
    execution.digests[step.name] = record.kept.digest
    execution.records[step.name] = record
    execution.outcomes[step.name] = StepOutcome(
        step.name, cached, time.perf_counter() - started, record.kept.kind, record.kept.digest
    )


def _run_step(execution: _Execution, step: Step, key: str) -> StepRecord:
    workspace = execution.workspace
    run = Run(workspace, execution.run_id, step.name, study=f"{step.name}-{key[:16]}")
    arguments: dict[str, Any] = {name: execution.values[name] for name in step.inputs}
    if step.takes(RUN):
        arguments[RUN] = run
    if step.takes(FEATURES):
        views = [(view, execution.values[view.source]) for view in step.views]
        arguments[FEATURES] = Features(workspace, views)
    value = step.function(**arguments, **{name: execution.params[name] for name in step.defaults})
    execution.values[step.name] = value
    return keep_step(workspace, step, key, value, run.log)


def _end(execution: _Execution, status: RunStatus) -> tuple[ModelVersion, ...]:
    """End the run, and record what it made: its status, its steps, its tables and its models."""
    workspace, run_id = execution.workspace, execution.run_id
    with nullcontext() if status is RunStatus.FINISHED else suppress(Unavailable):
        workspace.live.adapter("tracking", "write-runs").flush()
    models = _registered(execution) if status is RunStatus.FINISHED else ()
    steps = {name: record.id for name, record in execution.records.items()}
    outputs = {name: [outcome.kind, outcome.output] for name, outcome in execution.outcomes.items()}
    ended: dict[str, Any] = {"ended_at": workspace.clock().isoformat(), "executed": steps, "outputs": outputs}
    end_run(
        workspace, run_id, status,
        Entity(run_id, "run", workspace.clock(), ended),
        *(Link(run_id, Relation.USED, step_id) for step_id in steps.values()),
        *_model_records(models),
    )  # fmt: skip
    return models


def _registered(execution: _Execution) -> tuple[ModelVersion, ...]:
    registry = execution.workspace.live.adapter("tracking", "registry")
    return tuple(version for version in registry.list_models() if version.run_id == execution.run_id)


def _model_records(models: tuple[ModelVersion, ...]) -> list[Entity | Link]:
    records: list[Entity | Link] = []
    for model in models:
        attributes: dict[str, Any] = {
            "name": model.name,
            "version": model.version,
            "digest": model.digest,
            "run": model.run_id,
        }
        records.append(Entity(model.id, "model", model.created_at, attributes))
        records.append(Link(model.id, Relation.REGISTERED_FROM, model.run_id))
    return records


def _failure(result: TaskResult) -> StackproofError:
    if isinstance(result.error, StackproofError):
        return result.error
    failure = StepFailed(
        f"The step {result.name!r} failed", got=f"{type(result.error).__name__}: {result.error}",
        next_command="stackproof runs",
    )  # fmt: skip
    failure.__cause__ = result.error
    return failure
