"""Orchestration in this process: a pool of threads, and the standard library's topological order.

Threads suffice because what takes long in a pipeline (table joins, fitting, compression, disk and
network) happens outside of the interpreter's lock; see docs/decisions/0008-a-thread-pool-runs-tasks.md.
"""

import contextvars
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from threading import Event
from typing import ClassVar

from stackproof.adapters.orchestration.attempts import pause, raised_by
from stackproof.adapters.orchestration.order import walk
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

GRACE_S = 2.0
POLL_S = 0.2


class LocalRunner:
    """Capability "run". Runs of one runner are independent of each other, and may be nested.

    Tasks see the context variables of the caller. A task that fails with `Unavailable` and has
    retries left is tried again after 0.1 s, 0.2 s, 0.4 s, ..., at most 5 s. `on_result` is called in
    the caller's thread, in the order in which tasks end. After Ctrl-C, the tasks that had begun get
    `GRACE_S` to end and are reported if they do, then `KeyboardInterrupt` is raised; an error of
    `on_result` ends a run in the same way, without further reports.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"run"})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("integer", "tasks that may run side by side, 1 or more", 2)
    }

    def __init__(
        self,
        setting: Setting,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`sleep` pauses before a retry; `clock` gives seconds and measures durations."""
        workers = int(str(setting.options.get("workers", self.options["workers"].default)))
        if workers < 1:
            raise RefusedInput("A runner needs a worker", got=f"workers = {workers}", allowed="1 or more")
        self._workers = workers
        self._sleep = sleep
        self._clock = clock

    def health(self) -> Health:
        return Health(True, platform.python_version(), f"threads in this process, {self._workers} at a time")

    def close(self) -> None:
        """Nothing is held between two runs."""

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: Callable[[TaskResult], None] | None = None,
        run_id: str = "",
    ) -> list[TaskResult]:
        order = walk(name, tasks)
        run = _Run(tasks, order, on_result or _ignore, self._sleep, self._clock)
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix=f"pipeline {name}")
        results = run.on(pool)
        pool.shutdown()
        return [results[task.name] for task in tasks]


class _Run:
    """One run: the caller's thread decides what is next, the pool's threads only call tasks."""

    def __init__(
        self,
        tasks: Sequence[Task],
        order: TopologicalSorter[str],
        on_result: Callable[[TaskResult], None],
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._order = order
        self._on_result = on_result
        self._sleep = sleep
        self._clock = clock
        self._stopping = Event()
        self._running: set[str] = set()
        self._ended: SimpleQueue[TaskResult] = SimpleQueue()
        self._all_ended: list[TaskResult] = []
        self._results: dict[str, TaskResult] = {}

    def on(self, pool: ThreadPoolExecutor) -> dict[str, TaskResult]:
        try:
            while self._order.is_active():
                for name in self._order.get_ready():
                    self._start_or_skip(pool, self._tasks[name])
                self._take(self._next_ended())
        except KeyboardInterrupt:
            self._stop(pool)
            self._report_the_rest()
            raise
        except BaseException:
            self._stop(pool)
            raise
        return self._results

    def _next_ended(self) -> TaskResult:
        # A library's signal handler may restart a blocking wait, which then never sees Ctrl-C: Polars' does.
        while True:
            try:
                return self._ended.get(timeout=POLL_S)
            except Empty:
                continue

    def _start_or_skip(self, pool: ThreadPoolExecutor, task: Task) -> None:
        if all(self._results[before].status is TaskStatus.SUCCEEDED for before in task.after):
            pool.submit(contextvars.copy_context().run, self._work, task)
        else:
            self._end(TaskResult(task.name, TaskStatus.SKIPPED, 0.0, 0, None))

    def _take(self, result: TaskResult) -> None:
        self._results[result.name] = result
        self._on_result(result)
        if isinstance(result.error, KeyboardInterrupt):
            raise result.error
        self._order.done(result.name)

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        """Start nothing more, and give what runs a moment: a thread cannot be stopped from outside."""
        self._stopping.set()
        pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < deadline:
            time.sleep(GRACE_S / 100)

    def _report_the_rest(self) -> None:
        # Ctrl-C may come between taking a result from the queue and reporting it, so the list decides.
        for result in self._all_ended:
            if result.name not in self._results:
                self._results[result.name] = result
                self._on_result(result)

    def _work(self, task: Task) -> None:
        self._running.add(task.name)
        start = self._clock()
        attempts, error = self._attempt(task)
        status = TaskStatus.SUCCEEDED if error is None else TaskStatus.FAILED
        self._end(TaskResult(task.name, status, self._clock() - start, attempts, error))
        self._running.discard(task.name)

    def _end(self, result: TaskResult) -> None:
        self._all_ended.append(result)
        self._ended.put(result)

    def _attempt(self, task: Task) -> tuple[int, BaseException | None]:
        for attempt in range(1, task.retries + 2):
            error = raised_by(task)
            if not isinstance(error, Unavailable) or attempt > task.retries:
                break
            self._sleep(pause(attempt))
            if self._stopping.is_set():
                break
        return attempt, error


def _ignore(result: TaskResult) -> None:
    pass
