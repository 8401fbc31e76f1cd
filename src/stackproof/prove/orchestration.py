"""Orchestration: what it costs to run a task, and that each runs once, in its order, whatever fails."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from stackproof.errors import StackproofError, Unavailable
from stackproof.prove.candidate import WAIT_S, Opener, Running
from stackproof.prove.record import Record
from stackproof.prove.scenario import Given
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

LAYER = 10


@dataclass(frozen=True, slots=True)
class Size:
    """Trivial tasks of one run, of which those of a layer wait for one of the layer before; short runs."""

    tasks: int
    runs: int


SIZES = {"smoke": Size(20, 3), "medium": Size(200, 5), "full": Size(1_000, 10)}


class Log:
    """When each task was called. Safe in threads."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self._lock = threading.Lock()

    def note(self, name: str) -> Callable[[], None]:
        def run() -> None:
            with self._lock:
                self.calls.append((name, time.perf_counter()))

        return run

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class OrchestrationScenario:
    """Tasks that do nothing, so that what is measured is the tool."""

    name = "trivial tasks"
    needs = frozenset({"run"})

    def __init__(self, size: str, given: Given) -> None:
        self._size = SIZES[size]

    def round(self, running: Running, folder: Path, record: Record) -> None:
        runner = running.adapter
        waited = [_until_first(runner, f"short {number}") for number in range(self._size.runs)]
        record.figure("first_task", "ms", waited[0])
        record.figure("first_task_again", "ms", median(waited[1:]))
        self._wide(runner, record)
        self._failing(runner, record)

    def _wide(self, runner: Any, record: Record) -> None:
        log = Log()
        tasks = [Task(f"task {n}", log.note(f"task {n}"), _before(n)) for n in range(self._size.tasks)]
        started = time.perf_counter()
        results = runner.run("many", tasks)
        seconds = time.perf_counter() - started
        record.rate("tasks_run", len(tasks), seconds)
        record.figure("per_task", "ms", 1e3 * seconds / len(tasks))
        _check_all_ran(tasks, results, log, record)

    def _failing(self, runner: Any, record: Record) -> None:
        log, answers = Log(), [Unavailable("no answer"), None]

        def flaky() -> None:
            answer = answers.pop(0) if answers else None
            if answer is not None:
                raise answer

        tasks = [
            Task("bad", _raise),
            Task("child", log.note("child"), ("bad",)),
            Task("grandchild", log.note("grandchild"), ("child", "other")),
            Task("other", log.note("other")),
            Task("flaky", flaky, retries=2),
        ]
        found = [result.status for result in runner.run("failing", tasks)]
        failed, skipped, done = TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.SUCCEEDED
        wanted = [failed, skipped, skipped, done, done]
        record.check(found == wanted, f"around a failing task the results are {_said(found)}, not {_said(wanted)}")
        record.check(log.names == ["other"], f"after a failed task these ran: {log.names}, not only 'other'")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        """A run whose tool dies must end with an error, and the same pipeline must run whole afterwards."""
        running = opened(home)
        under_way, go_on = threading.Event(), threading.Event()
        log = Log()
        tasks = [Task("first", log.note("first")), Task("held", _held(under_way, go_on), ("first",))]
        tasks += [Task(f"later {n}", log.note(f"later {n}"), ("held",)) for n in range(3)]
        ended: list[BaseException | None] = []
        run = threading.Thread(target=lambda: ended.append(_error_of(running.adapter, tasks)), daemon=True)
        run.start()
        started = under_way.wait(WAIT_S)
        running.kill()
        killed = time.perf_counter()
        go_on.set()
        run.join(WAIT_S)
        record.check(started, f"no task was started: {ended}")
        record.check(bool(ended), f"a run whose tool was killed did not end within {WAIT_S:g} s")
        record.check(ended != [None], "a run whose tool was killed in the middle ended as if nothing had happened")
        record.check("later 0" not in log.names, "after SIGKILL of the tool further tasks were started")
        running.close()
        again, log = opened(home), Log()
        tasks = [Task(f"task {n}", log.note(f"task {n}"), _before(n)) for n in range(20)]
        _check_all_ran(tasks, again.adapter.run("pipeline", tasks), log, record)
        record.figure("recovery", "s", time.perf_counter() - killed)
        again.close()


def _until_first(runner: Any, name: str) -> float:
    """Milliseconds from the call to the start of the only task."""
    started, log = time.perf_counter(), Log()
    runner.run(name, [Task("only", log.note("only"))])
    return 1e3 * (log.calls[0][1] - started) if log.calls else float("inf")


def _before(number: int) -> tuple[str, ...]:
    return (f"task {number - LAYER}",) if number >= LAYER else ()


def _raise() -> None:
    raise ValueError("broken")


def _held(under_way: threading.Event, go_on: threading.Event) -> Callable[[], None]:
    def run() -> None:
        under_way.set()
        go_on.wait(WAIT_S)

    return run


def _error_of(runner: Any, tasks: list[Task]) -> BaseException | None:
    try:
        runner.run("pipeline", tasks)
    except StackproofError as error:
        return error
    return None


def _said(found: list[TaskStatus]) -> str:
    return ", ".join(str(status) for status in found)


def _check_all_ran(tasks: list[Task], results: list[TaskResult], log: Log, record: Record) -> None:
    names = [task.name for task in tasks]
    record.check(
        [result.name for result in results] == names,
        f"{len(names):,} tasks gave {len(results):,} results, or in another order",
    )
    failed = [result.name for result in results if result.status is not TaskStatus.SUCCEEDED]
    record.check(not failed, f"{len(failed):,} of {len(names):,} tasks did not succeed")
    record.check(
        sorted(log.names) == sorted(names),
        f"of {len(names):,} tasks {len(set(log.names)):,} were called, {len(log.names):,} times in all",
    )
    place = {name: at for at, name in enumerate(log.names)}
    early = [t.name for t in tasks for b in t.after if place.get(t.name, 0) < place.get(b, 0)]
    record.check(not early, f"{len(early):,} tasks ran before one that they wait for")
