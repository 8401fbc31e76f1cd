"""Orchestration: run the tasks of a pipeline in the order of their dependencies.

Capabilities: "run" (`PipelineRunner`). Caching, resuming and lineage are Stackproof's own and wrap
every runner: a task that was done before returns at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class TaskStatus(StrEnum):
    """SKIPPED: a task before it failed."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work. `run` takes and returns nothing: results live in the step store.

    `after`: names of the tasks that must succeed first. `retries`: further attempts after an
    `Unavailable`; no other error is tried again.
    """

    name: str
    run: Callable[[], None]
    after: tuple[str, ...] = ()
    retries: int = 0


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended. `error` is what it raised, None unless FAILED. `attempts` is 0 when SKIPPED."""

    name: str
    status: TaskStatus
    duration_s: float
    attempts: int
    error: BaseException | None


class PipelineRunner(Protocol):
    """Capability "run"."""

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: Callable[[TaskResult], None] | None = None,
        run_id: str = "",
    ) -> list[TaskResult]:
        """Run every task once all of its `after` succeeded; independent tasks may run side by side.

        `run_id`: kept with the tool's own record of this run, as a tag, so that it is found again; "" for none.
        Returns one result per task, in the order given; `on_result` hears of each as it ends.
        A failed task stops only what depends on it. Ctrl-C stops the start of further tasks and is
        raised. Raises `RefusedInput`, before anything runs, for two tasks of one name, an unknown
        name in `after`, or a cycle.
        """
        ...
