"""Orchestration by Prefect: a pipeline is a flow, and each task a task of it, in this process.

Prefect runs the tasks, tries them again, and records them; what is ready to be run is decided here, because a task
that Prefect lets wait for another one would hold a worker meanwhile.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar

from stackproof.adapters.orchestration import prefect_library as library
from stackproof.adapters.orchestration.order import in_order
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.adapter import Health, Option, ServerSpec, Setting
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
GRACE_S = 2.0
FLUSH_S = 10.0
POLL_S = 0.2
BANNED = str.maketrans({"/": "／", "%": "％", "&": "＆", ">": "＞", "<": "＜"})
"""Prefect refuses these in a flow's name."""
_LOG = logging.getLogger(__name__)

OnResult = Callable[[TaskResult], None]


class PrefectRunner:
    """Capability "run". Each run is a flow run in Prefect's database, with its tasks, their states and retries.

    Without `api_url` a server of its own starts with the first run and ends with `close`; its SQLite file is in the
    home folder. A task that fails with `Unavailable` and has retries left is tried again by Prefect after 0.1 s,
    0.2 s, 0.4 s, ..., at most 5 s. `on_result` is called in the caller's thread. After Ctrl-C, the tasks that had
    begun get `GRACE_S` to end and are reported if they do, then `KeyboardInterrupt` is raised.
    """

    tool: ClassVar[str] = "prefect"
    capabilities: ClassVar[frozenset[str]] = frozenset({"run", "links"})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("integer", "tasks that may run side by side, 1 or more", 2),
        "api_url": Option("string", "a Prefect server that runs, as http://host:4200/api; by default one of its own"),
        "auth": Option("string", "what that server wants as user:password, as ${VARIABLE}"),
        "port": Option("integer", "of the server that `stackproof up` starts; by default one that is free"),
    }

    def __init__(self, setting: Setting) -> None:
        options = {name: value for name, value in setting.options.items() if value not in (None, "")}
        workers = int(str(options.get("workers", self.options["workers"].default)))
        if workers < 1:
            raise RefusedInput("A runner needs a worker", got=f"workers = {workers}", allowed="1 or more")
        self._url = str(options.get("api_url", "")).rstrip("/")
        if self._url and not self._url.startswith(("http://", "https://")):
            raise RefusedInput("That is no address of a Prefect server", got=self._url, allowed="http://host:4200/api")
        self._workers = workers
        self._auth = str(options.get("auth", ""))
        self._home = setting.home
        self._server = library.Server(setting.home)

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec | None:
        """See `HasServer.server`. It has the UI and the schedulers, which the server of a run's own has not."""
        if setting.options.get("api_url"):
            return None
        return library.server_on(setting.home, python, int(str(setting.options.get("port") or 0)))

    def health(self) -> Health:
        try:
            release = version("prefect")
        except PackageNotFoundError:
            return Health(ok=False, version="", detail="Prefect is not installed in this environment")
        if self._url:
            ok = library.answers(self._url)
            return Health(ok, release, f"{self._url} {'answers' if ok else 'does not answer'}")
        return Health(True, release, f"a server of its own, with its database in {self._home}")

    def close(self) -> None:
        self._server.end()

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: OnResult | None = None,
        run_id: str = "",
    ) -> list[TaskResult]:
        order = in_order(name, tasks)
        if not order:
            return []
        run = _Run(name, order, self._workers, self._server.watch, run_id)
        results = run.by(*self._prefect(), self._auth, on_result or _ignore)
        return [results[task.name] for task in tasks]

    def link(self, identifier: str, ui: str) -> str:
        """Of a run: its flow run, which has the run's identifier as a tag."""
        if not ui or not identifier.startswith("run:"):
            return ""
        found = library.flow_runs(f"{ui}/api", identifier, self._auth)
        return f"{ui}/runs/flow-run/{found[-1]}" if found else ""

    def _prefect(self) -> tuple[Any, str]:
        """The library, and the address of the server. Raises `Unavailable`."""
        if self._url:
            if not library.answers(self._url):
                raise Unavailable(
                    "The Prefect server does not answer", got=self._url, next_command="prefect server start"
                )
            return library.imported(self._home), self._url
        self._server.begin()
        prefect = library.imported(self._home)  # takes as long as the server's start, at the same time
        return prefect, self._server.wait()


class _Run:
    """One run: the flow has a thread of its own, its tasks those of Prefect, and the caller's hears of results."""

    def __init__(self, name: str, order: list[Task], workers: int, watch: Callable[[], None], tag: str) -> None:
        """`watch` is called several times a second. `tag`: of the flow run, "" for none."""
        self._name = name
        self._watch = watch
        self._tag = tag
        self._order = order
        self._workers = workers
        self._changed = threading.Condition()
        self._results: dict[str, TaskResult] = {}
        self._ended: SimpleQueue[TaskResult | None] = SimpleQueue()
        self._began: dict[str, float] = {}
        self._attempts = dict.fromkeys((task.name for task in order), 0)
        self._again: set[str] = set()
        self._stopping = threading.Event()
        self._broken: Exception | None = None

    def by(self, prefect: Any, url: str, auth: str, on_result: OnResult) -> dict[str, TaskResult]:
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._flow, prefect, url, auth), name=f"flow {self._name}", daemon=True
        )
        thread.start()
        try:
            self._hear(on_result)
            while thread.is_alive():
                self._watch()
                thread.join(POLL_S)
        except KeyboardInterrupt:
            self._stop(thread)
            self._report_the_rest(on_result)
            raise
        except BaseException:
            self._stop(thread)
            raise
        if self._broken is not None:
            _LOG.warning("Prefect could not record the end of the pipeline %r: %s", self._name, self._broken)
        return self._results

    # In the caller's thread

    def _hear(self, on_result: OnResult) -> None:
        for _ in self._order:
            result = self._next_ended()
            on_result(result)
            if isinstance(result.error, KeyboardInterrupt):
                raise result.error

    def _next_ended(self) -> TaskResult:
        """Raises `Unavailable` when the flow ended before its tasks did."""
        while True:
            try:
                ended = self._ended.get(timeout=POLL_S)  # a wait without end would not see Ctrl-C
            except Empty:
                self._watch()
                continue
            if ended is None:
                raise Unavailable(
                    f"Prefect could not run the pipeline {self._name!r} to its end",
                    got=f"{type(self._broken).__name__}: {self._broken}",
                    next_command="run it again: what was done is not done twice",
                ) from self._broken
            return ended

    def _stop(self, thread: threading.Thread) -> None:
        """Start nothing more, and give what runs a moment: a thread cannot be stopped from outside."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        thread.join(GRACE_S)

    def _report_the_rest(self, on_result: OnResult) -> None:
        while True:
            try:
                ended = self._ended.get_nowait()
            except Empty:
                return
            if ended is not None and ended.status is not TaskStatus.SKIPPED:
                on_result(ended)

    # In the flow's thread

    def _flow(self, prefect: Any, url: str, auth: str) -> None:
        try:
            with library.talking_to(url, auth), prefect.tags(*filter(None, [self._tag])):
                flow = prefect.Flow(
                    lambda: self._submit_all(prefect),
                    name=self._name.translate(BANNED),
                    description=f"The pipeline {self._name!r}, run by Stackproof",
                    task_runner=prefect.task_runners.ThreadPoolTaskRunner(max_workers=self._workers),
                    persist_result=False,
                    validate_parameters=False,
                )
                flow(return_state=True)
                _flush(prefect)
        except Exception as error:  # noqa: BLE001  # Prefect raises what its own libraries raise; it is told as ours
            self._broken = error
        self._ended.put(None)

    def _submit_all(self, prefect: Any) -> list[Any]:
        """The flow: each task when all before it ended, so that none waits in a worker."""
        futures: dict[str, Any] = {}
        waiting = list(self._order)
        while waiting and not self._stopping.is_set():
            ready = [task for task in waiting if all(before in self._results for before in task.after)]
            for task in ready:
                waiting.remove(task)
                futures[task.name] = self._as_prefects(prefect, task).submit(
                    wait_for=[futures[before] for before in task.after]
                )
            if not ready:
                self._wait(futures)
        while len(self._results) < len(self._order) and not self._stopping.is_set():
            self._wait(futures)
        for future in futures.values():
            future.wait()
        return list(futures.values())

    def _wait(self, futures: Mapping[str, Any]) -> None:
        with self._changed:
            self._changed.wait(POLL_S)
        for name, future in futures.items():
            state = future.state
            if state.is_final() and name not in self._results:
                lost = Unavailable(f"Prefect lost the task {name!r}", got=state.message)
                self._end(self._result(name, TaskStatus.FAILED, lost))

    def _as_prefects(self, prefect: Any, task: Task) -> Any:
        pauses = [min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) for attempt in range(task.retries)]
        return prefect.Task(
            lambda: self._attempt(task),
            name=task.name,
            task_run_name=task.name.replace("{", "{{").replace("}", "}}"),
            tags={"stackproof"},
            retries=task.retries,
            retry_delay_seconds=pauses or None,
            retry_condition_fn=lambda *_: task.name in self._again,
            cache_policy=prefect.cache_policies.NO_CACHE,
            persist_result=False,
        )

    # In Prefect's threads

    def _attempt(self, task: Task) -> None:
        if self._stopping.is_set():
            raise Stopped("The pipeline was stopped before this task")
        self._began.setdefault(task.name, time.perf_counter())
        self._attempts[task.name] += 1
        self._again.discard(task.name)
        try:
            task.run()
        except BaseException as error:
            self._failed(task, error)
            if isinstance(error, Exception):
                raise
            raise Stopped(f"The task was stopped: {type(error).__name__}") from error
        self._end(self._result(task.name, TaskStatus.SUCCEEDED, None))

    def _failed(self, task: Task, error: BaseException) -> None:
        left = self._attempts[task.name] <= task.retries and not self._stopping.is_set()
        if isinstance(error, Unavailable) and left:
            self._again.add(task.name)
            return
        if not isinstance(error, Exception):
            self._stopping.set()
        self._end(self._result(task.name, TaskStatus.FAILED, error))

    def _result(self, name: str, status: TaskStatus, error: BaseException | None) -> TaskResult:
        seconds = time.perf_counter() - self._began.get(name, time.perf_counter())
        return TaskResult(name, status, seconds, self._attempts[name], error)

    def _end(self, result: TaskResult) -> None:
        """With those that are skipped because of it."""
        with self._changed:
            if result.name in self._results:
                return
            self._keep(result)
            for task in self._order:
                before = [self._results[name].status for name in task.after if name in self._results]
                all_ended = len(before) == len(task.after)
                if task.name not in self._results and all_ended and set(before) - {TaskStatus.SUCCEEDED}:
                    self._keep(TaskResult(task.name, TaskStatus.SKIPPED, 0.0, 0, None))
            self._changed.notify_all()

    def _keep(self, result: TaskResult) -> None:
        self._results[result.name] = result
        self._ended.put(result)


class Stopped(Exception):
    """What Prefect records of a task that Ctrl-C ended or kept from starting."""


def _flush(prefect: Any) -> None:
    """Prefect tells its server of task runs from a thread of its own; wait until it has, unless it can't."""
    worker = prefect.events.worker.EventsWorker.instance()
    waiting = threading.Thread(target=worker.wait_until_empty, name="flush of Prefect's events", daemon=True)
    waiting.start()
    waiting.join(FLUSH_S)


def _ignore(result: TaskResult) -> None:
    pass
