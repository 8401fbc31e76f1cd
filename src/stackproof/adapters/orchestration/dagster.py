"""Orchestration by Dagster: a pipeline is a job, and each task an op of it, in this process."""

import os
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.installed import installed
from stackproof.adapters.orchestration.dagster_job import execute, runs_of
from stackproof.adapters.orchestration.pipeline_run import OnResult, PipelineRun
from stackproof.adapters.orchestration.unfinished import Unfinished
from stackproof.errors import RefusedInput, StorageFailed, Unavailable
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting
from stackproof.roles.orchestration import Task, TaskResult

CONFIG = "dagster.yaml"
NO_TELEMETRY = "DAGSTER_DISABLE_TELEMETRY"
OURS = """\
# Written once by Stackproof and yours to change: how Dagster keeps its runs. To see them in its UI:
#   DAGSTER_HOME=<this folder> dagster-webserver --empty-workspace
telemetry:
  enabled: false
"""


class DagsterRunner:
    """Capability "run". Each run is a run in Dagster's instance, with its steps, their logs and retries.

    The instance is the home folder, with SQLite files, or the one that `dagster_home` names. Dagster decides what is
    next, and tries a task that fails with `Unavailable` again after 0.1 s, 0.2 s, 0.4 s, ..., at most 5 s, while it
    has retries left. `on_result` is called in the caller's thread. After Ctrl-C, the tasks that had begun get
    `GRACE_S` to end and are reported if they do, then `KeyboardInterrupt` is raised, and Dagster shows the run as
    canceled. A run whose process was killed is recorded as failed by the next one. What tasks print is not kept by
    Dagster: they may run in another process.
    """

    tool: ClassVar[str] = "dagster"
    capabilities: ClassVar[frozenset[str]] = frozenset({"run", "links"})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("integer", "tasks that may run side by side, 1 or more", 2),
        "dagster_home": Option(
            "string", "the folder of a Dagster instance of your own, with its dagster.yaml; by default the role's home"
        ),
        "port": Option("integer", "of its web server that `stackproof up` starts; by default one that is free"),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        options = {name: value for name, value in setting.options.items() if value not in (None, "")}
        self._workers = int(str(options.get("workers", self.options["workers"].default)))
        if self._workers < 1:
            raise RefusedInput("A runner needs a worker", got=f"workers = {self._workers}", allowed="1 or more")
        self._home = _home_of(setting)
        self._unfinished = Unfinished("Dagster", setting.home / "under-way")
        self._lock = threading.Lock()
        self._opened: Any = None

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec:
        """See `HasServer.server`. It only shows what runs left in the instance; no daemon is needed for that."""
        home, address = _home_of(setting), f"http://127.0.0.1:{PORT}"
        _configure(home)
        place = ("--host", "127.0.0.1", "--port", PORT)
        return ServerSpec(
            name="dagster",
            arguments=(str(python), "-m", "dagster_webserver", "--empty-workspace", *place),
            folder=home,
            url=address,
            health=f"{address}/server_info",
            variables={"DAGSTER_HOME": str(home), NO_TELEMETRY: "yes"},
            port=int(str(setting.options.get("port") or 0)),
        )

    def health(self) -> Health:
        return installed("dagster", "Dagster", f"runs are kept in {self._home}")

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.dispose()
            self._opened = None

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: OnResult | None = None,
        run_id: str = "",
    ) -> list[TaskResult]:
        run = PipelineRun("Dagster", name, tasks)
        if not tasks:
            return []
        instance = self._instance()
        return run.by(lambda: execute(run, self._workers, instance, run_id, self._unfinished), on_result)

    def link(self, identifier: str, ui: str) -> str:
        """Of a run: Dagster's, which has the run's identifier as a tag."""
        if not ui or not identifier.startswith("run:"):
            return ""
        found = runs_of(self._instance(), identifier)
        return f"{ui}/runs/{found[0]}" if found else ""

    def _instance(self) -> Any:
        """The opened instance. Raises `StorageFailed` or `Unavailable`."""
        with self._lock:
            if self._opened is None:
                self._opened = _open(self._home)
            return self._opened


def _home_of(setting: Setting) -> Path:
    """The folder of the instance. Raises `RefusedInput` where `dagster_home` names none."""
    theirs = setting.options.get("dagster_home")
    home = Path(str(theirs or setting.home)).absolute()
    if theirs and not (home / CONFIG).is_file():
        raise RefusedInput("That is no home of Dagster", got=str(home), allowed=f"a folder with a {CONFIG}")
    return home


def _configure(home: Path) -> None:
    """Raises `StorageFailed`."""
    try:
        if not (home / CONFIG).exists():
            (home / CONFIG).write_text(OURS)
    except OSError as error:
        raise StorageFailed(f"Dagster's home can't be used: {error}", got=str(home)) from error


def _open(home: Path) -> Any:
    _configure(home)
    os.environ[NO_TELEMETRY] = "yes"  # whatever the dagster.yaml of another instance says
    try:
        instance = import_module("dagster").DagsterInstance.from_config(str(home))
    except Exception as error:
        raise Unavailable(
            "Dagster could not open its instance",
            got=f"{type(error).__name__}: {error}",
            next_command=f"look at {home / CONFIG}",
        ) from error
    # Dagster configures Python's logging anew for each run, which blocks for ever while another run logs.
    handlers = instance.get_yaml_python_handlers()
    instance.get_yaml_python_handlers = lambda: handlers
    return instance
