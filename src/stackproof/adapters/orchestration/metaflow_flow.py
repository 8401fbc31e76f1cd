"""A pipeline as the source of a flow of Metaflow, which runs each step in a process of its own."""

import keyword
from collections.abc import Iterable, Sequence

from stackproof.adapters.orchestration.metaflow_shape import Series, Shape, shape_of
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
    words = f"{task}: {told['status']}" + (f", {told['error']}" if told["error"] else "")
    print(words.encode(errors="backslashreplace").decode())
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
_SPLIT = """\
    @_metaflow.step
    def {name}(self):
        self.next({following})
"""
_END = """\
    @_metaflow.step
    def end(self):
        _end()
"""
_JOIN = """\
    @_metaflow.step
    def {name}(self, inputs):
        self.next({following})
"""
_SPLIT = """\
    @_metaflow.step
    def {name}(self):
        self.next({following})
"""
_END = """\
    @_metaflow.step
    def end(self):
        _end()
"""


def flow_name(pipeline: str) -> str:
    """The flow's class, which Metaflow lists its runs under."""
    return plain_name(pipeline, "[A-Za-z][A-Za-z0-9_]*", LONGEST_NAME, keyword.kwlist)


def step_name(task: str) -> str:
    refused = task in _REFUSED or task.startswith(("join_", "split_"))
    return plain_name(task, "[a-z][a-z0-9_]*", LONGEST_NAME, [task] if refused else [])


def source_of(pipeline: str, order: Sequence[Task]) -> str:
    """The flow as a Python program. `order`: each task after those that it names, at least one."""
    steps = _Steps()
    begin = steps.before(["end"], shape_of(order))
    start = _SPLIT.format(name="start", following=_nexts(begin))
    body = [start, *reversed(steps.texts), _END]
    head = f"class {flow_name(pipeline)}(_metaflow.FlowSpec):\n    {pipeline!r}\n\n"
    return _HEAD + head + "\n".join(body) + f'\n\nif __name__ == "__main__":\n    {flow_name(pipeline)}()\n'


class _Steps:
    """The steps of a flow, made from its end to its start, since each names those that follow."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._splits = 0

    def before(self, following: list[str], shape: Shape) -> list[str]:
        """Add the steps of `shape`, after which those `following` begin. Returns those that begin it."""
        if isinstance(shape, Task):
            self.texts.append(_step(shape, following))
            return [step_name(shape.name)]
        if isinstance(shape, Series):
            for part in reversed(shape.parts):
                following = self.before(following, part)
            return following
        self._splits += 1
        number = self._splits
        after = self._as_one(following)
        self.texts.append(_JOIN.format(name=f"join_{number}", following=_nexts(after)))
        branches = [self._as_one(self.before([f"join_{number}"], part)) for part in reversed(shape.parts)]
        return [name for branch in reversed(branches) for name in branch]

    def _as_one(self, names: list[str]) -> list[str]:
        """A join can't split, and a branch begins with one step."""
        if len(names) == 1:
            return names
        self._splits += 1
        self.texts.append(_SPLIT.format(name=f"split_{self._splits}", following=_nexts(names)))
        return [f"split_{self._splits}"]


def _nexts(names: Iterable[str]) -> str:
    return ", ".join(f"self.{name}" for name in names)


def _step(task: Task, following: Iterable[str]) -> str:
    times = min(task.retries, MOST_RETRIES)
    retry = f"    @_metaflow.retry(times={times}, minutes_between_retries=0)\n" if times else ""
    return _STEP.format(retry=retry, name=step_name(task.name), doc=task.name, following=_nexts(following))
