"""One run of a pipeline whose tasks the engine of a tool calls. For adapters in an environment of their own."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from stackproof.adapters.orchestration.attempts import pause, raised_by
from stackproof.adapters.orchestration.order import in_order
from stackproof.errors import Unavailable
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

GRACE_S = 2.0
RECORD_S = 3.0
POLL_S = 0.2
_LOG = logging.getLogger(__name__)

OnResult = Callable[[TaskResult], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a task: what it raised, and the seconds until it shall be called again, None for never."""

    number: int
    error: BaseException | None
    pause_s: float | None


class Stopped(Exception):
    """What a tool records of a task that Ctrl-C ended or kept from starting."""


class PipelineRun:
    """The engine has a thread of its own; the caller's thread hears of results as tasks end.

    The engine decides when a task is called, and calls `attempt`. After a failure, what depends on it counts as
    skipped here at once.
    """

    def __init__(
        self,
        tool: str,
        name: str,
        tasks: Sequence[Task],
        watch: Callable[[], None] = lambda: None,
        record_s: float = RECORD_S,
    ) -> None:
        """`tool` as people write it. `watch` is called several times a second in the caller's thread, and may raise.

        `record_s`: how long the engine may take to record that the run was stopped, after the tasks' `GRACE_S`.
        `tasks` of the run has them each after those that it names. Raises `RefusedInput` with every fault found.
        """
        self.name = name
        self.tasks = {task.name: task for task in in_order(name, tasks)}
        self._given = [task.name for task in tasks]
        self.stopping = threading.Event()
        self._tool = tool
        self._watch = watch
        self._stop_s = GRACE_S + record_s
        self._changed = threading.Condition()
        self._results: dict[str, TaskResult] = {}
        self._ended: SimpleQueue[TaskResult | None] = SimpleQueue()
        self._began: dict[str, float] = {}
        self._attempts = dict.fromkeys(self.tasks, 0)
        self._broken: Exception | None = None

    # In the caller's thread

    def by(self, engine: Callable[[], None], on_result: OnResult | None) -> list[TaskResult]:
        """The results, in the order in which the tasks were given, once `engine` returned.

        `engine` sees the caller's context variables. Once `stopping` is set, it shall end within `GRACE_S`. Raises
        `KeyboardInterrupt` at Ctrl-C, what `on_result` raises, and `Unavailable` when the engine ended too early.
        """
        hear = on_result or _ignore
        context = contextvars.copy_context()
        title = f"{self._tool}: {self.name}"
        thread = threading.Thread(target=context.run, args=(self._run, engine), name=title, daemon=True)
        thread.start()
        try:
            self._hear(hear)
            while thread.is_alive():
                self._watch()
                thread.join(POLL_S)
        except KeyboardInterrupt:
            self._stop(thread)
            self._report_the_rest(hear)
            raise
        except BaseException:
            self._stop(thread)
            raise
        if self._broken is not None:
            _LOG.warning("%s could not record the end of the pipeline %r: %s", self._tool, self.name, self._broken)
        return [self._results[name] for name in self._given]

    def _hear(self, on_result: OnResult) -> None:
        for _ in self.tasks:
            result = self._next_ended()
            on_result(result)
            if isinstance(result.error, KeyboardInterrupt):
                raise result.error

    def _next_ended(self) -> TaskResult:
        while True:
            try:
                ended = self._ended.get(timeout=POLL_S)  # a wait without end would not see Ctrl-C
            except Empty:
                self._watch()
                continue
            if ended is None:
                raise Unavailable(
                    f"{self._tool} could not run the pipeline {self.name!r} to its end",
                    got=f"{type(self._broken).__name__}: {self._broken}" if self._broken else "its engine ended",
                    next_command="run it again: what was done is not done twice",
                ) from self._broken
            return ended

    def _stop(self, thread: threading.Thread) -> None:
        """Start nothing more, and give what runs a moment: a thread cannot be stopped from outside."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()
        thread.join(self._stop_s)

    def _report_the_rest(self, on_result: OnResult) -> None:
        while True:
            try:
                ended = self._ended.get_nowait()
            except Empty:
                return
            if ended is not None and ended.status is not TaskStatus.SKIPPED:
                on_result(ended)

    # In the engine's threads

    def ended(self, name: str) -> TaskResult | None:
        """How the task `name` ended, None as long as it has not."""
        with self._changed:
            return self._results.get(name)

    @property
    def is_done(self) -> bool:
        """Whether every task has ended, or was skipped."""
        with self._changed:
            return len(self._results) == len(self.tasks)

    def wait(self, seconds: float) -> None:
        """Until a task ends or the run shall stop, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def lose(self, name: str, error: Exception) -> None:
        """The engine will not call the task `name` any more: it has failed with `error`, unless it has ended."""
        self._end(name, TaskStatus.FAILED, error)

    def attempt(self, name: str) -> Attempt:
        """Call the task `name` once. It has ended, unless it shall be called again."""
        task = self.tasks[name]
        if self.stopping.is_set():
            return Attempt(0, Stopped("The pipeline was stopped before this task"), None)
        self._began.setdefault(name, time.perf_counter())
        self._attempts[name] += 1
        number = self._attempts[name]
        error = raised_by(task)
        if isinstance(error, Unavailable) and number <= task.retries and not self.stopping.is_set():
            return Attempt(number, error, pause(number))
        if error is not None and not isinstance(error, Exception):
            self.stopping.set()
        self._end(name, TaskStatus.SUCCEEDED if error is None else TaskStatus.FAILED, error)
        return Attempt(number, error, None)

    def _run(self, engine: Callable[[], None]) -> None:
        try:
            engine()
        except Exception as error:  # noqa: BLE001  # a tool raises what its own libraries raise; it is told as ours
            self._broken = error
        self._ended.put(None)

    def _end(self, name: str, status: TaskStatus, error: BaseException | None) -> None:
        """With those that are skipped because of it."""
        seconds = time.perf_counter() - self._began.get(name, time.perf_counter())
        with self._changed:
            if name in self._results:
                return
            self._keep(TaskResult(name, status, seconds, self._attempts[name], error))
            for task in self.tasks.values():
                before = [self._results[name].status for name in task.after if name in self._results]
                all_ended = len(before) == len(task.after)
                if task.name not in self._results and all_ended and set(before) - {TaskStatus.SUCCEEDED}:
                    self._keep(TaskResult(task.name, TaskStatus.SKIPPED, 0.0, 0, None))
            self._changed.notify_all()

    def _keep(self, result: TaskResult) -> None:
        self._results[result.name] = result
        self._ended.put(result)


def _ignore(result: TaskResult) -> None:
    pass
