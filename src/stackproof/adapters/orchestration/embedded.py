"""Orchestration in this process: a pool of threads, and the standard library's topological order.

Threads suffice because what takes long in a pipeline (table joins, fitting, compression, disk and
network) happens outside of the interpreter's lock; see docs/decisions/0008-a-thread-pool-runs-tasks.md.
"""

import contextvars
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from graphlib import CycleError, TopologicalSorter
from queue import Empty, SimpleQueue
from threading import Event
from typing import ClassVar

from stackproof.errors import RefusedInput, Unavailable, did_you_mean
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
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
        order = _order(name, tasks)
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
            error = _call(task)
            if not isinstance(error, Unavailable) or attempt > task.retries:
                break
            self._sleep(min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S))
            if self._stopping.is_set():
                break
        return attempt, error


def _call(task: Task) -> BaseException | None:
    try:
        task.run()
    except BaseException as error:  # noqa: BLE001  # a task may raise anything; it becomes the result's error
        return error
    return None


def _ignore(result: TaskResult) -> None:
    pass


def _order(name: str, tasks: Sequence[Task]) -> TopologicalSorter[str]:
    """Ready to be walked. Raises `RefusedInput` with every fault found."""
    faults = list(_faults(tasks))
    order = TopologicalSorter({task.name: task.after for task in tasks})
    try:
        if not faults:
            order.prepare()
    except CycleError as cycle:
        faults.append("the tasks wait for each other: " + " -> ".join(cycle.args[1]))
    if faults:
        raise RefusedInput(f"The pipeline {name!r} cannot be run", faults=faults)
    return order


def _faults(tasks: Sequence[Task]) -> Iterator[str]:
    counts = Counter(task.name for task in tasks)
    yield from (f"{count} tasks are named {name!r}" for name, count in counts.items() if count > 1)
    for task in tasks:
        for before in task.after:
            if before not in counts:
                yield f"{task.name!r} comes after {before!r}, which is no task{did_you_mean(before, counts)}"
        if task.retries < 0:
            yield f"{task.name!r} has {task.retries} retries; 0 or more are allowed"
