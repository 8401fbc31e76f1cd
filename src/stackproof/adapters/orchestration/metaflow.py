"""Orchestration by Metaflow: a pipeline is a flow, each task a step of it, in a process that calls the task back."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from stackproof.adapters.orchestration.metaflow_calls import Calls
from stackproof.adapters.orchestration.metaflow_flow import ADDRESS, source_of
from stackproof.adapters.orchestration.order import in_order
from stackproof.adapters.orchestration.pipeline_run import GRACE_S, RECORD_S, OnResult, PipelineRun
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.orchestration import Task, TaskResult

POLL_S = 0.05
LONGEST_TAG = 400


class MetaflowRunner:
    """Capability "run". Each run is a run of a flow in Metaflow's local store, which is in the home folder.

    Metaflow starts each step as a process, which calls its task here and keeps what became of it as the artifacts
    `task_name`, `task_status` and `task_error`. Its graphs can't have any two steps before a third, so that the tasks
    run in levels: one starts when all of the level before have ended. A failed task does not fail its step, since
    Metaflow would then start no other: the step `end` fails, and names it. A task that fails with `Unavailable` and
    has retries left is tried again after 0.1 s, 0.2 s, 0.4 s, ..., at most 5 s: four times by Metaflow, whose limit
    that is, and then within the last attempt. `on_result` is called in the caller's thread. After Ctrl-C, the tasks
    that had begun get `GRACE_S` to end and are reported if they do, then `KeyboardInterrupt` is raised.
    """

    tool: ClassVar[str] = "metaflow"
    capabilities: ClassVar[frozenset[str]] = frozenset({"run"})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("integer", "tasks that may run side by side, 1 or more", 2),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        self._workers = int(str(setting.options.get("workers", self.options["workers"].default)))
        if self._workers < 1:
            raise RefusedInput("A runner needs a worker", got=f"workers = {self._workers}", allowed="1 or more")
        self._home = setting.home.absolute()

    def health(self) -> Health:
        try:
            return Health(True, version("metaflow"), f"runs are kept in {self._home}")
        except PackageNotFoundError:
            return Health(ok=False, version="", detail="Metaflow is not installed in this environment")

    def close(self) -> None:
        """Nothing is held between two runs."""

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: OnResult | None = None,
    ) -> list[TaskResult]:
        order = in_order(name, tasks)
        if not order:
            return []
        run = PipelineRun("Metaflow", name, order)
        results = {result.name: result for result in run.by(lambda: self._execute(run), on_result)}
        return [results[task.name] for task in tasks]

    def _execute(self, run: PipelineRun) -> None:
        """Run the flow to its end, or until it is stopped."""
        with tempfile.TemporaryDirectory(prefix="stackproof-") as folder:
            script, log, address = (Path(folder) / part for part in ("flow.py", "log", "calls"))
            script.write_text(source_of(run.name, list(run.tasks.values())), encoding="utf-8", errors="surrogatepass")
            with Calls(run, address) as calls, log.open("wb") as file:
                flow = subprocess.Popen(
                    self._command(script, run.name),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    cwd=folder,
                    env=self._environment(address),
                )
                code = _awaited(flow, run, calls)
            if code != 0 and any(run.ended(name) is None for name in run.tasks):
                raise FlowEnded(f"exit code {code}: {_last_words(log)}")

    def _command(self, script: Path, name: str) -> list[str]:
        places = ["--metadata=local", "--datastore=local", "--environment=local"]
        tags = ["--tag", "stackproof", "--tag", f"pipeline:{name}"[:LONGEST_TAG]]
        return [
            *(sys.executable, "-u", str(script), "--no-pylint", *places),
            *("run", "--max-workers", str(self._workers), *tags),
        ]

    def _environment(self, address: Path) -> dict[str, str]:
        """Without a person's profile of Metaflow, whose service and store would take the runs."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("METAFLOW_")}
        users = (os.environ.get(name) for name in ("METAFLOW_USER", "SUDO_USER", "USERNAME", "USER"))
        return ours | {
            "METAFLOW_HOME": str(self._home / "config"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self._home),
            # Metaflow refuses to run for nobody and for root.
            "METAFLOW_USER": next((user for user in users if user not in (None, "", "root")), "stackproof"),
            ADDRESS: str(address),
        }


class FlowEnded(Exception):
    """Metaflow ended a flow whose tasks have not all ended."""


def _awaited(flow: "subprocess.Popen[bytes]", run: PipelineRun, calls: Calls) -> int:
    """The flow's exit code."""
    try:
        while flow.poll() is None and not run.stopping.wait(POLL_S):
            pass
        until = time.monotonic() + GRACE_S
        while run.stopping.is_set() and calls.busy and time.monotonic() < until:
            time.sleep(POLL_S)
        if flow.poll() is None:
            flow.send_signal(signal.SIGINT)
            flow.wait(RECORD_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        flow.kill()
    return flow.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-10:]) or "it said nothing"
