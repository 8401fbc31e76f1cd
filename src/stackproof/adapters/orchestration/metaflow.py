"""Orchestration by Metaflow: a pipeline is a flow, each task a step of it, in a process that calls the task back."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from stackproof.adapters.installed import installed
from stackproof.adapters.orchestration.metaflow_calls import Calls
from stackproof.adapters.orchestration.metaflow_flow import ADDRESS, source_of
from stackproof.adapters.orchestration.pipeline_run import GRACE_S, RECORD_S, OnResult, PipelineRun
from stackproof.adapters.orchestration.plain_names import printable
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.orchestration import Task, TaskResult

POLL_S = 0.05
LONGEST_TAG = 400


class MetaflowRunner:
    """Capability "run". Each run is a run of a flow of Metaflow, kept in the home folder or where `profile` says.

    Metaflow starts each step as a process, which calls its task here and keeps what became of it as the artifacts
    `task_name`, `task_status` and `task_error`. Its graphs know only splits that one join ends, so that a task may wait
    for more than those that it names (`metaflow_shape.py`). A failed task does not fail its step, since Metaflow would
    then start no other: the step `end` fails, and names it. A task that fails with `Unavailable` and has retries left
    is tried again after 0.1 s, 0.2 s, 0.4 s, ..., at most 5 s, and the start of a process: four times by Metaflow,
    whose limit that is, and then within the last attempt. `on_result` is called in the caller's thread. After Ctrl-C,
    the tasks that had begun get `GRACE_S` to end and are reported if they do, then `KeyboardInterrupt` is raised.
    """

    tool: ClassVar[str] = "metaflow"
    capabilities: ClassVar[frozenset[str]] = frozenset({"run"})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("integer", "tasks that may run side by side, 1 or more", 2),
        "profile": Option(
            "string",
            "a profile of your Metaflow configuration (config_<profile>.json), whose service and store take the "
            "runs; by default the role's home",
        ),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        options = {name: value for name, value in setting.options.items() if value not in (None, "")}
        self._workers = int(str(options.get("workers", self.options["workers"].default)))
        if self._workers < 1:
            raise RefusedInput("A runner needs a worker", got=f"workers = {self._workers}", allowed="1 or more")
        self._home = setting.home.absolute()
        self._profile = str(options.get("profile", ""))
        if self._profile and not _profile_file(self._profile).is_file():
            raise RefusedInput(
                "Metaflow has no such profile",
                got=self._profile,
                allowed=f"one with a file {_profile_file('<profile>')}",
                next_command=f"metaflow configure --profile {self._profile}",
            )

    def health(self) -> Health:
        kept = f"by the profile {self._profile!r}" if self._profile else f"in {self._home}"
        return installed("metaflow", "Metaflow", f"runs are kept {kept}")

    def close(self) -> None:
        """Nothing is held between two runs."""

    def run(
        self,
        name: str,
        tasks: Sequence[Task],
        *,
        on_result: OnResult | None = None,
        run_id: str = "",
    ) -> list[TaskResult]:
        run = PipelineRun("Metaflow", name, tasks)
        if not tasks:
            return []
        return run.by(lambda: self._execute(run, run_id), on_result)

    def _execute(self, run: PipelineRun, run_id: str) -> None:
        """Run the flow to its end, or until it is stopped."""
        with tempfile.TemporaryDirectory(prefix="stackproof-") as folder:
            script, log, address = (Path(folder) / part for part in ("flow.py", "log", "calls"))
            script.write_text(source_of(run.name, list(run.tasks.values())), encoding="utf-8")
            with Calls(run, address) as calls, log.open("wb") as file:
                flow = subprocess.Popen(
                    self._command(script, run.name, run_id),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    cwd=folder,
                    env=self._environment(address),
                )
                code = _awaited(flow, run, calls)
            if code != 0 and not run.is_done:
                raise FlowEnded(f"exit code {code}: {_last_words(log)}")

    def _command(self, script: Path, name: str, run_id: str) -> list[str]:
        places = [] if self._profile else ["--metadata=local", "--datastore=local"]
        tags = ["stackproof", f"pipeline:{printable(name)}"[:LONGEST_TAG], *filter(None, [run_id])]
        return [
            *(sys.executable, "-u", str(script), "--no-pylint", "--environment=local", *places),
            *("run", "--max-workers", str(self._workers)),
            *(f"--tag={tag}" for tag in tags),
        ]

    def _environment(self, address: Path) -> dict[str, str]:
        users = (os.environ.get(name) for name in ("METAFLOW_USER", "SUDO_USER", "USERNAME", "USER"))
        ours = {
            # Metaflow refuses to run for nobody and for root.
            "METAFLOW_USER": next((user for user in users if user not in (None, "", "root")), "stackproof"),
            ADDRESS: str(address),
        }
        if self._profile:
            return os.environ | ours | {"METAFLOW_PROFILE": self._profile}
        # What a person configured for Metaflow stays out: its service and store would take the runs.
        others = {name: value for name, value in os.environ.items() if not name.startswith("METAFLOW_")}
        home = {"METAFLOW_HOME": str(self._home / "config"), "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self._home)}
        return others | ours | home


def _profile_file(profile: str) -> Path:
    """Where Metaflow looks for it."""
    return Path(os.environ.get("METAFLOW_HOME", "~/.metaflowconfig")).expanduser() / f"config_{profile}.json"


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
