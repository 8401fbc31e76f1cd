import contextvars
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.adapters.orchestration.embedded import LocalRunner
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")
PATIENCE_S = 30


def runner(workers: int = 2, sleep: Callable[[float], None] = lambda pause_s: None) -> LocalRunner:
    return LocalRunner(Setting(home=Path(), options={"workers": workers}), sleep=sleep)


def nothing() -> None:
    pass


def unavailable() -> None:
    raise Unavailable("no answer")


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, tuple[str, ...], bool]]:
    """Tasks in a random order, each after some that precede it in a hidden one, and whether it fails."""
    size = draw(st.integers(0, 15))
    tasks = []
    for number in range(size):
        before = draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else []
        fails = draw(st.integers(0, 5)) == 0
        tasks.append((f"t{number}", tuple(f"t{other}" for other in before), fails))
    return draw(st.permutations(tasks))


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_any_graph_runs_each_task_once_after_its_dependencies(
    graph: list[tuple[str, tuple[str, ...], bool]], workers: int
) -> None:
    started: list[str] = []
    ended: list[str] = []
    lock = threading.Lock()

    def body(name: str, after: tuple[str, ...], fails: bool) -> Callable[[], None]:
        def run() -> None:
            with lock:
                assert set(after) <= set(ended)
                started.append(name)
            with lock:
                ended.append(name)
            if fails:
                raise ValueError(name)

        return run

    heard: list[TaskResult] = []
    tasks = [Task(name, body(name, after, fails), after) for name, after, fails in graph]
    results = runner(workers).run("random", tasks, on_result=heard.append)
    status = {result.name: result.status for result in results}
    assert [result.name for result in results] == [name for name, _, _ in graph]
    assert sorted(heard, key=id) == sorted(results, key=id)
    assert len(started) == len(set(started))
    for name, after, fails in graph:
        blocked = any(status[before] is not TaskStatus.SUCCEEDED for before in after)
        expected = TaskStatus.FAILED if fails else TaskStatus.SUCCEEDED
        assert status[name] is (TaskStatus.SKIPPED if blocked else expected)
        assert (name in started) is not blocked


def test_two_independent_tasks_run_side_by_side_with_two_workers() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_S)

    def meet() -> None:
        meeting.wait()

    results = runner(2).run("both", [Task("a", meet), Task("b", meet)])
    assert {result.status for result in results} == {TaskStatus.SUCCEEDED}


def test_one_worker_runs_one_task_at_a_time() -> None:
    running = threading.Semaphore(1)
    alone: list[bool] = []

    def body() -> None:
        alone.append(running.acquire(blocking=False))
        running.release()

    runner(1).run("single", [Task(f"t{n}", body) for n in range(20)])
    assert alone == [True] * 20


def test_results_are_heard_in_the_callers_thread_in_the_order_in_which_tasks_end() -> None:
    fast_is_heard = threading.Event()
    heard: list[tuple[str, int]] = []

    def on_result(result: TaskResult) -> None:
        heard.append((result.name, threading.get_ident()))
        fast_is_heard.set()

    def slow() -> None:
        assert fast_is_heard.wait(PATIENCE_S)

    runner(2).run("order", [Task("slow", slow), Task("fast", nothing)], on_result=on_result)
    assert heard == [("fast", threading.get_ident()), ("slow", threading.get_ident())]


def test_pauses_before_retries_double_up_to_five_seconds() -> None:
    pauses: list[float] = []
    runner(sleep=pauses.append).run("down", [Task("down", unavailable, retries=8)])
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_durations_are_those_of_the_clock() -> None:
    ticks = iter([10.0, 12.5])
    local = LocalRunner(Setting(home=Path()), clock=lambda: next(ticks))
    (result,) = local.run("timed", [Task("a", nothing)])
    assert result.duration_s == 2.5


def test_tasks_see_the_context_of_the_caller() -> None:
    seen: list[str] = []
    token = CALLER.set("the quickstart")
    try:
        runner().run("context", [Task("a", lambda: seen.append(CALLER.get()))])
    finally:
        CALLER.reset(token)
    assert seen == ["the quickstart"]


def test_a_task_may_run_a_pipeline_of_its_own_on_the_same_runner() -> None:
    outer = runner(1)
    inner: list[TaskResult] = []
    outer.run("outer", [Task("a", lambda: inner.extend(outer.run("inner", [Task("b", nothing)])))])
    assert [result.name for result in inner] == ["b"]


def test_a_task_that_calls_sys_exit_fails_like_any_other() -> None:
    (result,) = runner().run("exit", [Task("a", sys.exit)])
    assert result.status is TaskStatus.FAILED
    assert isinstance(result.error, SystemExit)


def test_an_error_of_on_result_ends_the_run_and_starts_nothing_more() -> None:
    started: list[str] = []

    def refuse(result: TaskResult) -> None:
        raise LookupError(result.name)

    tasks = [Task("a", nothing), Task("b", lambda: started.append("b"), ("a",))]
    with pytest.raises(LookupError, match="a"):
        runner().run("refused", tasks, on_result=refuse)
    assert started == []


def test_ctrl_c_waits_for_the_running_task_reports_it_and_starts_none_of_the_queued() -> None:
    started: list[str] = []
    heard: list[str] = []

    def interrupt() -> None:
        started.append("running")
        os.kill(os.getpid(), signal.SIGINT)

    tasks = [Task("running", interrupt), Task("next", lambda: started.append("next"), ("running",))]
    with pytest.raises(KeyboardInterrupt):
        runner(1).run("stopped", tasks, on_result=lambda result: heard.append(result.name))
    assert started == ["running"]
    assert heard == ["running"]


def test_ctrl_c_during_a_pause_makes_no_further_attempt() -> None:
    attempts: list[int] = []
    paused = threading.Event()
    stopped = threading.Event()

    def pause(pause_s: float) -> None:
        paused.set()
        assert stopped.wait(PATIENCE_S)

    def down() -> None:
        attempts.append(1)
        raise Unavailable("no answer")

    def stop() -> None:
        assert paused.wait(PATIENCE_S)
        raise KeyboardInterrupt

    release = threading.Timer(0.3, stopped.set)
    tasks = [Task("down", down, retries=9), Task("stop", stop)]
    with pytest.raises(KeyboardInterrupt):
        runner(2, pause).run("stopped", tasks, on_result=lambda r: None if stopped.is_set() else release.start())
    release.join()
    assert attempts == [1]


def test_a_process_that_gets_ctrl_c_in_a_pipeline_ends_with_it(tmp_path: Path) -> None:
    program = dedent(
        """
        import sys
        from pathlib import Path
        from stackproof.adapters.orchestration.embedded import LocalRunner
        from stackproof.roles.adapter import Setting
        from stackproof.roles.orchestration import Task

        def first():
            print("started", flush=True)
            sys.stdin.readline()

        tasks = [Task("first", first), Task("second", lambda: print("second"), ("first",))]
        try:
            LocalRunner(Setting(home=Path())).run("p", tasks, on_result=lambda r: print("ended", r.name))
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        child.stdin.write("go on\n")
        child.stdin.close()
        assert child.stdout.read() == "ended first\ninterrupted\n"
    assert child.returncode == 0


def test_every_fault_of_a_pipeline_is_named_at_once() -> None:
    tasks = [
        Task("load", nothing),
        Task("load", nothing),
        Task("train", nothing, ("laod",)),
        Task("serve", nothing, retries=-1),
    ]
    with pytest.raises(RefusedInput) as refused:
        runner().run("faulty", tasks)
    assert refused.value.faults == (
        "2 tasks are named 'load'",
        "'train' comes after 'laod', which is no task; did you mean 'load'?",
        "'serve' has -1 retries; 0 or more are allowed",
    )


def test_a_cycle_is_shown_as_the_way_around_it() -> None:
    with pytest.raises(RefusedInput) as refused:
        runner().run("ring", [Task("a", nothing, ("b",)), Task("b", nothing, ("a",))])
    (fault,) = refused.value.faults
    assert fault.endswith(("a -> b -> a", "b -> a -> b"))


def test_a_runner_without_workers_is_refused() -> None:
    with pytest.raises(RefusedInput, match="workers = 0"):
        runner(0)
