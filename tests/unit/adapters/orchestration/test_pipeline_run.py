import contextvars
import logging
import threading

import pytest

from stackproof.adapters.orchestration.pipeline_run import PipelineRun
from stackproof.errors import Unavailable
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("CALLER", default="nobody")


def nothing() -> None:
    pass


def fail() -> None:
    raise ValueError("broken")


def one_after_another(run: PipelineRun) -> None:
    """An engine."""
    for name in run.tasks:
        while run.ended(name) is None and run.attempt(name).pause_s is not None:
            pass


def results(*tasks: Task) -> list[TaskResult]:
    run = PipelineRun("Tool", "flights", tasks)
    return run.by(lambda: one_after_another(run), None)


def test_results_come_in_the_order_of_the_tasks_and_are_heard_of_as_they_end() -> None:
    run = PipelineRun("Tool", "flights", [Task("a", nothing), Task("b", nothing, ("a",)), Task("c", nothing)])
    heard: list[str] = []

    def backwards() -> None:
        for name in ("c", "a", "b"):
            run.attempt(name)

    found = run.by(backwards, lambda result: heard.append(result.name))
    assert [result.name for result in found] == ["a", "b", "c"]
    assert heard == ["c", "a", "b"]


def test_what_depends_on_a_failed_task_is_skipped_at_once() -> None:
    found = results(Task("bad", fail), Task("child", nothing, ("bad",)), Task("grandchild", nothing, ("child",)))
    assert [result.status for result in found] == [TaskStatus.FAILED, TaskStatus.SKIPPED, TaskStatus.SKIPPED]


def test_only_an_unavailable_task_with_retries_left_is_to_be_called_again_after_a_longer_pause() -> None:
    def down() -> None:
        raise Unavailable("no answer")

    run = PipelineRun("Tool", "flights", [Task("down", down, retries=2), Task("bad", fail, retries=2)])
    made = [run.attempt("down") for _ in range(3)]
    assert [(one.number, one.pause_s) for one in made] == [(1, 0.1), (2, 0.2), (3, None)]
    assert run.attempt("bad").pause_s is None
    assert run.ended("bad") is not None


def test_an_engine_that_ends_before_its_tasks_is_told_with_its_words() -> None:
    run = PipelineRun("Tool", "flights", [Task("a", nothing), Task("b", nothing)])

    def breaks() -> None:
        run.attempt("a")
        raise OSError("no space")

    with pytest.raises(Unavailable, match=r"Tool could not run the pipeline 'flights'.*no space"):
        run.by(breaks, None)


def test_an_engine_that_only_forgets_a_task_is_told_too() -> None:
    run = PipelineRun("Tool", "flights", [Task("a", nothing), Task("b", nothing)])
    with pytest.raises(Unavailable, match="its engine ended"):
        run.by(lambda: run.attempt("a") and None, None)


def test_an_engine_that_breaks_after_its_tasks_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    run = PipelineRun("Tool", "flights", [Task("a", nothing)])

    def breaks() -> None:
        run.attempt("a")
        raise OSError("no space")

    with caplog.at_level(logging.WARNING):
        (result,) = run.by(breaks, None)
    assert result.status is TaskStatus.SUCCEEDED
    assert "no space" in caplog.text


def test_the_engine_sees_the_callers_context() -> None:
    seen: list[str] = []
    CALLER.set("me")
    results(Task("a", lambda: seen.append(CALLER.get())))
    assert seen == ["me"]


def test_after_ctrl_c_in_a_task_no_other_is_called_and_the_rest_that_ended_is_reported() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    heard: list[str] = []
    calls: list[str] = []
    both = threading.Barrier(2)
    run = PipelineRun(
        "Tool",
        "flights",
        [Task("stop", interrupt), Task("beside", both.wait), Task("next", lambda: calls.append("next"))],
    )

    def engine() -> None:
        beside = threading.Thread(target=run.attempt, args=("beside",))
        beside.start()
        run.attempt("stop")
        both.wait()
        beside.join()
        assert isinstance(run.attempt("next").error, Exception)

    with pytest.raises(KeyboardInterrupt):
        run.by(engine, lambda result: heard.append(result.name))
    assert heard == ["stop", "beside"]
    assert calls == []


def test_an_error_of_the_listener_stops_the_engine() -> None:
    def listen(result: TaskResult) -> None:
        raise ValueError("not mine")

    run = PipelineRun("Tool", "flights", [Task("a", nothing), Task("b", nothing)])

    def engine() -> None:
        run.attempt("a")
        assert run.stopping.wait(30)

    with pytest.raises(ValueError, match="not mine"):
        run.by(engine, listen)


def test_a_task_that_the_engine_loses_has_failed_with_what_was_said_unless_it_had_ended() -> None:
    run = PipelineRun(
        "Tool", "flights", [Task("done", nothing), Task("lost", nothing), Task("after", nothing, ("lost",))]
    )

    def losing() -> None:
        run.attempt("done")
        for name in ("done", "lost"):
            run.lose(name, Unavailable(f"lost {name}"))

    done, lost, after = run.by(losing, None)
    assert (done.status, done.error) == (TaskStatus.SUCCEEDED, None)
    assert (lost.status, str(lost.error), lost.attempts) == (TaskStatus.FAILED, "lost lost.", 0)
    assert after.status is TaskStatus.SKIPPED


def test_an_engine_that_waits_is_woken_when_a_task_ends() -> None:
    run = PipelineRun("Tool", "flights", [Task("slow", lambda: begun.wait(60) and None)])
    begun, woken = threading.Event(), threading.Event()

    def waiting() -> None:
        task = threading.Thread(target=run.attempt, args=("slow",))
        task.start()
        begun.set()
        while run.ended("slow") is None:
            run.wait(60)
        woken.set()
        task.join()

    run.by(waiting, None)
    assert woken.is_set()


def test_what_the_watch_raises_ends_the_run() -> None:
    def gone() -> None:
        raise Unavailable("the server is gone")

    run = PipelineRun("Tool", "flights", [Task("never", nothing)], gone, record_s=0.0)
    with pytest.raises(Unavailable, match="gone"):
        run.by(lambda: run.stopping.wait(60) and None, None)


def test_results_are_in_the_order_given_although_tasks_run_in_another() -> None:
    found = results(Task("last", nothing, ("first",)), Task("first", nothing))
    assert [result.name for result in found] == ["last", "first"]
