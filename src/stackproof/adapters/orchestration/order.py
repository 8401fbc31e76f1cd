"""The order in which tasks may run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from stackproof.errors import RefusedInput, did_you_mean
from stackproof.roles.orchestration import Task


def walk(name: str, tasks: Sequence[Task]) -> TopologicalSorter[str]:
    """Over the tasks' names, ready to begin. Raises `RefusedInput` with every fault found in the pipeline `name`."""
    faults = list(_faults(tasks))
    order = TopologicalSorter({task.name: task.after for task in tasks})
    try:
        if not faults:
            order.prepare()
    except CycleError as cycle:
        faults.append("the tasks wait for each other: " + " -> ".join(cycle.args[1]))
    if faults:
        raise RefusedInput(f"The pipeline {name!r} cannot be run", faults=faults)
    return order


def in_order(name: str, tasks: Sequence[Task]) -> list[Task]:
    """Each after those that it names. Raises as `walk` does."""
    walking, named, order = walk(name, tasks), {task.name: task for task in tasks}, []
    while walking.is_active():
        ready = walking.get_ready()
        order += [named[task] for task in ready]
        walking.done(*ready)
    return order


def _faults(tasks: Sequence[Task]) -> Iterator[str]:
    counts = Counter(task.name for task in tasks)
    yield from (f"{count} tasks are named {name!r}" for name, count in counts.items() if count > 1)
    for task in tasks:
        for before in task.after:
            if before not in counts:
                yield f"{task.name!r} comes after {before!r}, which is no task{did_you_mean(before, counts)}"
        if task.retries < 0:
            yield f"{task.name!r} has {task.retries} retries; 0 or more are allowed"
