"""Server and watcher as processes of their own: started, waited for, and stopped by the one who started them."""

import json
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.errors import Unavailable
from stackproof.stack.project import Project

START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Child:
    """A running process of ours. `ready` is what it said when it was ready."""

    process: "subprocess.Popen[str]"
    ready: dict[str, Any]
    log: Path

    def stop(self) -> int:
        """Ask it to finish (SIGTERM) and wait; kill it when it does not. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


def start_child(project: Project, arguments: list[str], log: Path) -> Child:
    """Start `stackproof ARGUMENTS` on the project and wait for its first line, one JSON object.

    Raises `Unavailable` with the end of its log when it ends or stays silent.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "stackproof",
        *arguments,
        "--project",
        str(project.file),
        "--format",
        "json",
    ]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=project.folder)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_drain, args=(process, lines), daemon=True).start()
    try:
        line = lines.get(timeout=START_TIMEOUT_S)
    except queue.Empty:
        line = ""
    if not line:
        process.kill()
        process.wait()
        said = log.read_text(encoding="utf-8").strip().splitlines()
        raise Unavailable(
            f"stackproof {arguments[0]} did not start",
            got=said[-1] if said else "no message",
            next_command=f"cat {log}",
        )
    return Child(process, json.loads(line), log)


def _drain(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    """Pass on the first line, and keep reading so that the child never waits for us."""
    if process.stdout is not None:
        lines.put(process.stdout.readline())
        for _ in process.stdout:
            pass
