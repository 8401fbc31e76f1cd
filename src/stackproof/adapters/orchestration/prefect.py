"""Orchestration by Prefect: a pipeline is a flow, and each task a task of it, in this process.

Prefect runs the tasks, tries them again, and records them; what is ready to be run is decided here, because a task
that Prefect lets wait for another one would hold a worker meanwhile.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.installed import installed
from stackproof.adapters.orchestration import prefect_library as library
from stackproof.adapters.orchestration.attempts import pause
from stackproof.adapters.orchestration.pipeline_run import OnResult, PipelineRun, Stopped
from stackproof.adapters.orchestration.unfinished import KILLED, Unfinished
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.adapter import Health, Option, ServerSpec, Setting
from stackproof.roles.orchestration import Task, TaskResult

FLUSH_S = 10.0
POLL_S = 0.2
BANNED = str.maketrans({"/": "／", "%": "％", "&": "＆", ">": "＞", "<": "＜"})
"""Prefect refuses these in a flow's name."""


class PrefectRunner:
    """Capability "run". Each run is a flow run in Prefect's database, with its tasks, their states and retries.

    Without `api_url` a server of its own starts with the first run and ends with `close`; its SQLite file is in the
    home folder. A task that fails with `Unavailable` and has retries left is tried again by Prefect after 0.1 s,
    0.2 s, 0.4 s, ..., at most 5 s. `on_result` is called in the caller's thread. After Ctrl-C, the tasks that had
    begun get 2 s to end and are reported if they do, then `KeyboardInterrupt` is raised. A run whose
    process was killed is recorded as crashed by the next one.
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
        self._unfinished = Unfinished("Prefect", setting.home / "under-way")
        self._server = library.Server(setting.home)

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec | None:
        """See `HasServer.server`. It has the UI and the schedulers, which the server of a run's own has not."""
        if setting.options.get("api_url"):
            return None
        return library.server_on(setting.home, python, int(str(setting.options.get("port") or 0)))

    def health(self) -> Health:
        health = installed("prefect", "Prefect", f"a server of its own, with its database in {self._home}")
        if not health.ok or not self._url:
            return health
        ok = library.answers(self._url)
        return Health(ok, health.version, f"{self._url} {'answers' if ok else 'does not answer'}")

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
        run = PipelineRun("Prefect", name, tasks, self._server.watch, record_s=0.0)
        if not tasks:
            return []
        prefect, url = self._prefect()
        return run.by(lambda: self._execute(prefect, url, run, run_id), on_result)

    def _execute(self, prefect: Any, url: str, run: PipelineRun, run_id: str) -> None:
        self._unfinished.tell(lambda killed: library.crash(url, killed, self._auth, KILLED))
        with library.talking_to(url, self._auth), ExitStack() as ending:
            _Flow(prefect, run, lambda flow_run: ending.enter_context(self._unfinished.under_way(flow_run))).execute(
                self._workers, run_id
            )

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


class _Flow:
    """The flow of one run, with a task of Prefect for each task."""

    def __init__(self, prefect: Any, run: PipelineRun, begun: Callable[[str], object]) -> None:
        """`begun` hears the flow run's identifier, in the thread that runs it."""
        self._prefect = prefect
        self._run = run
        self._begun = begun
        self._again: set[str] = set()

    def execute(self, workers: int, tag: str) -> None:
        """Run the flow to its end, or until it is stopped. `tag`: of the flow run, "" for none."""
        name = self._run.name
        with self._prefect.tags(*filter(None, [tag])):
            flow = self._prefect.Flow(
                self._submit_all,
                name=name.translate(BANNED),
                description=f"The pipeline {name!r}, run by Stackproof",
                task_runner=self._prefect.task_runners.ThreadPoolTaskRunner(max_workers=workers),
                persist_result=False,
                validate_parameters=False,
            )
            flow(return_state=True)
        _flush(self._prefect)

    def _submit_all(self) -> list[Any]:
        """The flow's body: each task when all before it ended, so that none waits in a worker."""
        self._begun(self._prefect.runtime.flow_run.id)
        futures: dict[str, Any] = {}
        waiting = list(self._run.tasks.values())
        while waiting and not self._run.stopping.is_set():
            ready = [task for task in waiting if all(self._run.ended(before) for before in task.after)]
            for task in ready:
                waiting.remove(task)
                futures[task.name] = self._as_prefects(task).submit(wait_for=[futures[name] for name in task.after])
            if not ready:
                self._wait(futures)
        while not self._run.is_done and not self._run.stopping.is_set():
            self._wait(futures)
        for future in futures.values():
            future.wait()
        return list(futures.values())

    def _wait(self, futures: Mapping[str, Any]) -> None:
        self._run.wait(POLL_S)
        for name, future in futures.items():
            if self._run.ended(name) is None and future.state.is_final():
                self._run.lose(name, Unavailable(f"Prefect lost the task {name!r}", got=future.state.message))

    def _as_prefects(self, task: Task) -> Any:
        return self._prefect.Task(
            lambda: self._attempt(task.name),
            name=task.name,
            task_run_name=task.name.replace("{", "{{").replace("}", "}}"),
            tags={"stackproof"},
            retries=task.retries,
            retry_delay_seconds=[pause(number) for number in range(1, task.retries + 1)] or None,
            retry_condition_fn=lambda *_: task.name in self._again,
            cache_policy=self._prefect.cache_policies.NO_CACHE,
            persist_result=False,
        )

    def _attempt(self, name: str) -> None:
        """In a thread of Prefect's, which tries again what raised if `_again` has its name."""
        self._again.discard(name)
        attempt = self._run.attempt(name)
        if attempt.pause_s is not None:
            self._again.add(name)
        if isinstance(attempt.error, Exception):
            raise attempt.error
        if attempt.error is not None:
            raise Stopped(f"The task was stopped: {type(attempt.error).__name__}") from attempt.error


def _flush(prefect: Any) -> None:
    """Prefect tells its server of task runs from a thread of its own; wait until it has, unless it can't."""
    worker = prefect.events.worker.EventsWorker.instance()
    waiting = threading.Thread(target=worker.wait_until_empty, name="flush of Prefect's events", daemon=True)
    waiting.start()
    waiting.join(FLUSH_S)
