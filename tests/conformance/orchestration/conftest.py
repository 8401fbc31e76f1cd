"""What the tests of several tools for `orchestration` share."""

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import StackproofError
from stackproof.roles.orchestration import Task, TaskResult
from stackproof.testing.orchestration import Log, nothing

UP_WITHIN_S = 180


@pytest.fixture
def runner(made: Callable[..., Any], home: Path) -> Any:
    """An adapter of the tool, on an empty home."""
    return made(home)


@pytest.fixture
def run_four_that_meet() -> Callable[..., tuple[list[TaskResult], int]]:
    """Runs four tasks that end only two by two; their results, and the most that ran at once."""

    def run(runner: Any, *, wait_s: float) -> tuple[list[TaskResult], int]:
        barrier = threading.Barrier(2, timeout=wait_s)
        running: list[int] = []
        most: list[int] = []

        def meet() -> None:
            running.append(1)
            most.append(len(running))
            barrier.wait()
            running.pop()

        return runner.run("pairs", [Task(f"task{number}", meet) for number in range(4)]), max(most)

    return run


@pytest.fixture
def run_that_is_killed() -> Callable[[Any], None]:
    """A run whose process is killed in the middle of its first task."""

    def run(runner: Any) -> None:
        def kill() -> None:
            os.kill(runner.bridge.pid, signal.SIGKILL)

        with pytest.raises(StackproofError):
            runner.run("killed", [Task("kills", kill), Task("next", nothing, ("kills",))])

    return run


@pytest.fixture
def run_with_a_failing_listener() -> Callable[[Any], None]:
    """Runs two tasks; what hears of a result raises `ValueError("not mine")`."""

    def run(runner: Any) -> None:
        def listen(result: TaskResult) -> None:
            raise ValueError("not mine")

        runner.run("listened", [Task("first", nothing), Log().task("second", "first")], on_result=listen)

    return run


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds one on the loopback interface."""

    def found() -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        return port

    return found


@pytest.fixture(scope="session")
def answers() -> Callable[[str], bool]:
    """Whether a page answers with status 200."""

    def asked(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return asked


@pytest.fixture(scope="session")
def running_server(answers: Callable[[str], bool]) -> Callable[..., AbstractContextManager[None]]:
    """Runs a command, from when its page `health` answers to the end of the block."""

    @contextmanager
    def run(
        command: Sequence[str], *, health: str, log: Path, variables: Mapping[str, str], folder: Path | None = None
    ) -> Iterator[None]:
        environment = os.environ | variables
        with (
            log.open("wb") as said,
            subprocess.Popen(
                command, stdout=said, stderr=said, cwd=folder, env=environment, start_new_session=True
            ) as server,
        ):
            until = time.monotonic() + UP_WITHIN_S
            try:
                while not answers(health):
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < until, log.read_text()
                    time.sleep(0.2)
                yield
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)

    return run
