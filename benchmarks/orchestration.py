"""What a task costs on the embedded runner, beside a plain thread pool and plain calls.

    python -m benchmarks.orchestration [--quick]

10,000 trivial tasks, seven rounds; with --quick 1,000 and three.
The sides alternate within each round, so that other work on the machine meets all of them. The
figures are medians over the rounds, in microseconds per task. The last row is the same number of tasks
in one chain, each after the one before.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from stackproof.adapters.orchestration.embedded import LocalRunner
from stackproof.roles.adapter import Setting
from stackproof.roles.orchestration import Task, TaskStatus

WORKERS = 2


def trivial() -> None:
    pass


def plain_calls(count: int) -> None:
    for _ in range(count):
        trivial()


def thread_pool(count: int) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(trivial) for _ in range(count)]:
            future.result()


def independent_tasks(runner: LocalRunner, count: int) -> None:
    run(runner, [Task(f"task {number}", trivial) for number in range(count)])


def chained_tasks(runner: LocalRunner, count: int) -> None:
    run(
        runner,
        [Task(f"task {n}", trivial, (f"task {n - 1}",) if n else ()) for n in range(count)],
    )


def run(runner: LocalRunner, tasks: list[Task]) -> None:
    results = runner.run("benchmark", tasks)
    assert {result.status for result in results} == {TaskStatus.SUCCEEDED}


def seconds(side: Callable[[], None]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def main(count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        runner = LocalRunner(Setting(home=Path(home), options={"workers": WORKERS}))
        sides: dict[str, Callable[[], None]] = {
            "plain calls": lambda: plain_calls(count),
            f"ThreadPoolExecutor, {WORKERS} workers": lambda: thread_pool(count),
            f"LocalRunner, {WORKERS} workers": lambda: independent_tasks(runner, count),
            "LocalRunner, one chain": lambda: chained_tasks(runner, count),
        }
        measured: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                measured[name].append(seconds(side))
    print(f"{count:,} trivial tasks, median of {rounds} rounds\n")
    for name, times in measured.items():
        print(f"{name:32} {median(times) / count * 1e6:10.2f} µs a task")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="fewer tasks and rounds")
    main(*((1_000, 3) if arguments.parse_args().quick else (10_000, 7)))
