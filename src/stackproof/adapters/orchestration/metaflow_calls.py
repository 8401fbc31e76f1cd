"""Where the steps of a flow, each in a process of its own, call our tasks, which live in this one or its parent."""

import contextvars
import json
import socket
import socketserver
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from stackproof.adapters.orchestration.metaflow_flow import MOST_RETRIES
from stackproof.adapters.orchestration.pipeline_run import PipelineRun
from stackproof.roles.orchestration import TaskResult, TaskStatus

Answer = dict[str, Any]


class Calls(socketserver.ThreadingUnixStreamServer):
    """Serves on a socket file of this user, until it is closed. One line of JSON asks, one answers.

    {"task": name, "retry": attempts before this one} calls the task, {"task": null} asks for the failed ones.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, run: PipelineRun, address: Path) -> None:
        super().__init__(str(address), _Call)
        self._run = run
        self._context = contextvars.copy_context()
        self._locks = {name: threading.Lock() for name in run.tasks}
        self.open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.05,), name=f"calls of {run.name}", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a task is being called."""
        return any(lock.locked() for lock in self._locks.values())

    def server_close(self) -> None:
        """With the lines of steps that still wait for a task."""
        super().server_close()
        for line in list(self.open):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def answer(self, asked: Answer) -> Answer:
        """To one line of a step."""
        return self._context.copy().run(self._answer, asked)

    def _answer(self, asked: Answer) -> Answer:
        if asked["task"] is None:
            results = [result for name in self._run.tasks if (result := self._run.ended(name))]
            return {
                "failed": {found.name: _told(found.error) for found in results if found.status is TaskStatus.FAILED}
            }
        # A step whose process died is tried again by Metaflow, while its task may still run here.
        with self._locks[asked["task"]]:
            return self._called(asked["task"], asked["retry"])

    def _called(self, name: str, retry: int) -> Answer:
        retries_of_metaflow = min(self._run.tasks[name].retries, MOST_RETRIES)
        while True:
            ended = self._run.ended(name)
            if ended is not None:
                return _as_answer(ended)
            made = self._run.attempt(name)
            if made.number == 0:
                return {"status": "stopped", "error": _told(made.error)}
            if made.pause_s is not None:
                self._run.stopping.wait(made.pause_s)
                if retry < retries_of_metaflow:
                    return {"status": "again", "error": _told(made.error)}


class _Call(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Calls)
        self.server.open.add(self.request)
        with suppress(ConnectionError):  # the step's process may be gone by now
            line = self.rfile.readline()
            if line:
                self.wfile.write(json.dumps(self.server.answer(json.loads(line))).encode() + b"\n")
        self.server.open.discard(self.request)


def _as_answer(result: TaskResult) -> Answer:
    return {"status": result.status.value, "error": _told(result.error)}


def _told(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
