"""A pipeline as the source of a flow of Metaflow, which runs each step in a process of its own.

Metaflow has no step that comes after any two others: what a split began, one join must end. So tasks stand in levels: a
task is one level below the lowest of those that it names, and each level of several tasks is a split that a join ends.
"""

import keyword
from collections.abc import Sequence
from itertools import groupby

from stackproof.adapters.orchestration.plain_names import plain_name
from stackproof.roles.orchestration import Task

LONGEST_NAME = 100
MOST_RETRIES = 4
"""Metaflow's own limit."""
ADDRESS = "STACKPROOF_CALLS"
_REFUSED = {
    *("start", "end", "name", "next", "input", "index", "cmd", "foreach_stack", "merge_artifacts", "script_name"),
    *("task_name", "task_status", "task_error"),
    *keyword.kwlist,
}
_HEAD = """\
import json as _json
import os as _os
import socket as _socket

import metaflow as _metaflow


class _Unavailable(Exception):
    pass


class _Failed(Exception):
    pass


def _asked(**what):
    with _socket.socket(_socket.AF_UNIX) as line:
        line.connect(_os.environ["STACKPROOF_CALLS"])
        with line.makefile("rw", encoding="utf-8") as words:
            print(_json.dumps(what), file=words, flush=True)
            return _json.loads(words.readline() or '{"status": "lost", "error": "the pipeline ended"}')


def _call(flow, task):
    told = _asked(task=task, retry=_metaflow.current.retry_count)
    flow.task_name, flow.task_status, flow.task_error = task, told["status"], told["error"]
    print(f"{task}: {told['status']}" + (f", {told['error']}" if told["error"] else ""))
    if told["status"] in ("again", "lost", "stopped"):
        raise _Unavailable(told["error"])


def _end():
    failed = _asked(task=None)["failed"]
    if failed:
        raise _Failed("; ".join(f"{task}: {error}" for task, error in failed.items()))


"""
_STEP = """\
{retry}    @_metaflow.step
    def {name}(self):
        {doc!r}
        _call(self, {doc!r})
        self.next({following})

"""
_JOIN = """\
    @_metaflow.step
    def {name}(self, inputs):
        self.next({following})

"""


def flow_name(pipeline: str) -> str:
    """The flow's class, which Metaflow lists its runs under."""
    return plain_name(pipeline, "[A-Za-z][A-Za-z0-9_]*", LONGEST_NAME, keyword.kwlist)


def step_name(task: str) -> str:
    refused = task in _REFUSED or task.startswith("join_")
    return plain_name(task, "[a-z][a-z0-9_]*", LONGEST_NAME, [task] if refused else [])


def levels(order: Sequence[Task]) -> list[list[Task]]:
    """The tasks, each after those that it names, by the longest way to them; in one level none depends on another."""
    depth: dict[str, int] = {}
    for task in order:
        depth[task.name] = 1 + max((depth[before] for before in task.after), default=-1)
    by_depth = sorted(order, key=lambda task: depth[task.name])
    return [list(level) for _, level in groupby(by_depth, key=lambda task: depth[task.name])]


def source_of(pipeline: str, order: Sequence[Task]) -> str:
    """The flow as a Python program. `order`: each task after those that it names, at least one."""
    stages = levels(order)
    begins = [_nexts(level) for level in stages] + ["self.end"]
    text = [_HEAD, f"class {flow_name(pipeline)}(_metaflow.FlowSpec):\n", f"    {pipeline!r}\n\n"]
    text.append(f"    @_metaflow.step\n    def start(self):\n        self.next({begins[0]})\n\n")
    for number, level in enumerate(stages):
        join = f"join_{number + 1}" if len(level) > 1 else ""
        following = f"self.{join}" if join else begins[number + 1]
        text.extend(_step(task, following) for task in level)
        if join:
            text.append(_JOIN.format(name=join, following=begins[number + 1]))
    text.append("    @_metaflow.step\n    def end(self):\n        _end()\n\n\n")
    text.append(f'if __name__ == "__main__":\n    {flow_name(pipeline)}()\n')
    return "".join(text)


def _nexts(level: Sequence[Task]) -> str:
    return ", ".join(f"self.{step_name(task.name)}" for task in level)


def _step(task: Task, following: str) -> str:
    times = min(task.retries, MOST_RETRIES)
    retry = f"    @_metaflow.retry(times={times}, minutes_between_retries=0)\n" if times else ""
    return _STEP.format(retry=retry, name=step_name(task.name), doc=task.name, following=following)
