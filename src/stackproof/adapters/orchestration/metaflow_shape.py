"""The order of tasks as Metaflow can draw it: one after another, or side by side until all have ended, in each other.

Metaflow has no step that comes after any two others: what a split began, one join must end. Where a pipeline's order
is none of these, tasks wait for more than those that they name, and never for fewer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stackproof.roles.orchestration import Task


@dataclass(frozen=True, slots=True)
class Series:
    """Each part after the one before."""

    parts: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Two parts or more, side by side."""

    parts: tuple["Shape", ...]


Shape: TypeAlias = Task | Series | Parallel


def shape_of(order: Sequence[Task]) -> Shape:
    """`order`: each task after those that it names, at least one."""
    begun: list[Shape] = []
    ending: list[Shape] = []
    left = list(order)
    while left:
        separate = _separate(left)
        first = _without(left, {task.name for task in left if _names_one_of(task, left)})
        named = {before for task in left for before in task.after}
        last = [task for task in left if task.name not in named]
        if len(separate) > 1:
            begun.append(Parallel(tuple(shape_of(part) for part in separate)))
            break
        if len(first) > 1 and len(last) == 1:
            ending.append(last[0])
            left = _without(left, {last[0].name})
        else:
            begun.append(_side_by_side(first))
            left = _without(left, {task.name for task in first})
    parts = (*begun, *reversed(ending))
    return parts[0] if len(parts) == 1 else Series(parts)


def _side_by_side(tasks: Sequence[Task]) -> Shape:
    return tasks[0] if len(tasks) == 1 else Parallel(tuple(tasks))


def _without(tasks: Iterable[Task], names: set[str]) -> list[Task]:
    return [task for task in tasks if task.name not in names]


def _names_one_of(task: Task, tasks: Sequence[Task]) -> bool:
    names = {other.name for other in tasks}
    return any(before in names for before in task.after)


def _separate(tasks: Sequence[Task]) -> list[list[Task]]:
    """Groups of which none names a task of another, in the order of their first tasks."""
    group = {task.name: {task.name} for task in tasks}
    for task in tasks:
        for before in task.after:
            if before in group and group[before] is not group[task.name]:
                joined = group[before] | group[task.name]
                group.update(dict.fromkeys(joined, joined))
    groups = {id(names): names for task in tasks for names in [group[task.name]]}
    return [[task for task in tasks if task.name in names] for names in groups.values()]
