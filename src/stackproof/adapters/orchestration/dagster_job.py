"""A pipeline as a job of Dagster, whose ops call our tasks, and an executor that runs them in threads.

Dagster's own executors either run one op after another or each op in a process of its own, which our tasks don't live
in. So an executor of ours does what Dagster's do, with its own state machine, events and retries, in threads.
"""

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

from stackproof.adapters.orchestration.pipeline_run import GRACE_S, POLL_S, PipelineRun, Stopped
from stackproof.adapters.orchestration.plain_names import plain_name, printable
from stackproof.adapters.orchestration.unfinished import KILLED, Unfinished
from stackproof.roles.orchestration import Task

_LOG = logging.getLogger(__name__)
LONGEST_NAME = 100
"""Characters of an op's name: Dagster makes names of files of it."""
PIPELINE_TAG, RUN_TAG, TASK_TAG = "stackproof/pipeline", "stackproof/run", "stackproof/task"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Dagster prints each event besides recording it."""


def names_in_dagster(names: Iterable[str]) -> dict[str, str]:
    """For each name one that Dagster takes."""
    refused = import_module("dagster._core.definitions.utils").DISALLOWED_NAMES
    return {name: plain_name(name, "[A-Za-z0-9_]+", LONGEST_NAME, refused) for name in names}


def job_of(run: PipelineRun, workers: int) -> Any:
    """The `JobDefinition` of a pipeline: an op for each task, with one input of type Nothing for each one before it."""
    dagster = import_module("dagster")
    names = names_in_dagster(run.tasks)
    graph = dagster.GraphDefinition(
        name=names_in_dagster([run.name])[run.name],
        description=f"The pipeline {run.name!r}, run by Stackproof",
        node_defs=[_op(dagster, run, task, names) for task in run.tasks.values()],
        dependencies={
            names[task.name]: {names[before]: dagster.DependencyDefinition(names[before]) for before in task.after}
            for task in run.tasks.values()
        },
    )
    return graph.to_job(executor_def=_in_threads(dagster, run, workers))


def _op(dagster: Any, run: PipelineRun, task: Task, names: Mapping[str, str]) -> Any:
    def call() -> None:
        made = run.attempt(task.name)
        if made.error is None:
            return
        if made.pause_s is not None:
            raise dagster.RetryRequested(task.retries, made.pause_s) from made.error
        if isinstance(made.error, Exception):
            raise made.error
        raise Stopped(f"The task was stopped: {type(made.error).__name__}") from made.error

    decorated = dagster.op(
        name=names[task.name],
        description=printable(task.name),
        ins={names[before]: dagster.In(dagster.Nothing) for before in task.after},
        out=dagster.Out(dagster.Nothing),
        tags={TASK_TAG: printable(task.name)},
    )
    return decorated(call)


def execute(run: PipelineRun, workers: int, instance: Any, run_id: str, unfinished: Unfinished) -> None:
    """Run the pipeline as a job, and record it in the instance, with our `run_id` as a tag unless it is "".

    Runs whose process was killed are recorded as failed before.
    """
    unfinished.tell(lambda killed: _fail(instance, killed))
    job = job_of(run, workers)
    tags = {PIPELINE_TAG: printable(run.name)} | ({RUN_TAG: run_id} if run_id else {})
    made = instance.create_run_for_job(job_def=job, run_config=QUIET, tags=tags)
    _LOG.info("Dagster's run of the pipeline %r is %s", run.name, made.run_id)
    api, base = import_module("dagster._core.execution.api"), import_module("dagster._core.definitions.job_base")
    with unfinished.under_way(made.run_id):
        deque(api.execute_run_iterator(base.InMemoryJob(job), made, instance), maxlen=0)


def _fail(instance: Any, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, KILLED)


def runs_of(instance: Any, run_id: str) -> list[str]:
    """The identifiers in Dagster of the runs with this tag, the newest first."""
    wanted = import_module("dagster").RunsFilter(tags={RUN_TAG: run_id})
    return [found.run_id for found in instance.get_runs(filters=wanted)]


def _in_threads(dagster: Any, run: PipelineRun, workers: int) -> Any:
    api = import_module("dagster._core.execution.api")
    contexts = import_module("dagster._core.execution.context_creation_job")

    class Threads(dagster.Executor):  # type: ignore[misc]  # Dagster can be imported only here, so it is Any
        retries = import_module("dagster._core.execution.retries").RetryMode.ENABLED

        def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
            yield from api.ExecuteRunWithPlanIterable(
                execution_plan=execution_plan,
                iterator=lambda job_context, execution_plan: _Steps(job_context, run, workers).of(execution_plan),
                execution_context_manager=contexts.PlanExecutionContextManager(
                    job=plan_context.job,
                    retry_mode=plan_context.retry_mode,
                    execution_plan=execution_plan,
                    run_config=plan_context.run_config,
                    dagster_run=plan_context.dagster_run,
                    instance=plan_context.instance,
                    raise_on_error=plan_context.raise_on_error,
                ),
            )

    return dagster.executor(name="stackproof_threads")(lambda _: Threads())


class _Steps:
    """The steps of one run: each in a thread, no more than the workers at once. Dagster says which is next."""

    def __init__(self, context: Any, run: PipelineRun, workers: int) -> None:
        self._context = context
        self._run = run
        self._workers = workers
        self._told: SimpleQueue[Any] = SimpleQueue()  # events, what a step raised, and the keys of those that ended
        self._running: set[str] = set()

    def of(self, plan: Any) -> Iterator[Any]:
        """Dagster's events, as they come. Raises `DagsterExecutionInterruptedError` when the run is stopped."""
        with plan.start(retry_mode=self._context.retry_mode) as active:
            while not active.is_complete and not self._run.stopping.is_set():
                for step in active.get_steps_to_execute(limit=self._workers - len(self._running)):
                    self._start(step, active.get_known_state())
                yield from self._heard(active, min(POLL_S, active.sleep_interval() or POLL_S))
                yield from active.plan_events_iterator(self._context)
            if self._run.stopping.is_set():
                yield from self._interrupted(active)

    def _start(self, step: Any, known: Any) -> None:
        self._running.add(step.key)
        copied = contextvars.copy_context()
        context = self._context.for_step(step, known)
        threading.Thread(target=copied.run, args=(self._execute, context), name=step.key, daemon=True).start()

    def _execute(self, context: Any) -> None:
        """In the step's thread."""
        steps = import_module("dagster._core.execution.plan.execute_plan")
        try:
            for event in steps.dagster_event_sequence_for_step(context):
                self._told.put(event)
        except BaseException as error:  # noqa: BLE001  # it is raised again in the run's thread
            self._told.put(error)
        self._told.put(context.step.key)

    def _heard(self, active: Any, seconds: float) -> Iterator[Any]:
        """The next event of the steps that run, none after these seconds."""
        try:
            told = self._told.get(timeout=max(seconds, 0.0))
        except Empty:
            return
        if isinstance(told, BaseException):
            raise told
        if isinstance(told, str):
            self._running.discard(told)
            active.verify_complete(self._context, told)
            return
        yield told
        active.handle_event(told)

    def _interrupted(self, active: Any) -> Iterator[Any]:
        # Else Dagster would show a run that Ctrl-C stopped as one that failed.
        self._context.instance.report_run_canceling(self._context.dagster_run)
        until = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < until:
            yield from self._heard(active, POLL_S)
        active.mark_interrupted()
        raise import_module("dagster").DagsterExecutionInterruptedError("The pipeline was stopped")
