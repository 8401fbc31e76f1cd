"""The contract of `stackproof.roles.orchestration` as tests that any runner can run."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.orchestration import Task, TaskResult, TaskStatus
from stackproof.testing.conformance import Conformance

SUCCEEDED, FAILED, SKIPPED = TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.SKIPPED


def nothing() -> None:
    """A task that succeeds."""


def raising(error: BaseException) -> Callable[[], None]:
    """A task that raises this error each time."""

    def run() -> None:
        raise error

    return run


class Log:
    """Which tasks were called, in order; safe in threads."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def task(self, name: str, *after: str) -> Task:
        return Task(name, lambda: self._note(name), after)

    def _note(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)


class OrchestrationConformance(Conformance):
    """Subclasses give `make`. Tasks run in this process, so that a test sees what they did."""

    def test_a_pipeline_without_tasks_has_no_results(self, adapter: Any) -> None:
        assert adapter.run("empty", []) == []

    def test_every_task_runs_once_and_after_those_that_it_names(self, adapter: Any) -> None:
        log = Log()
        tasks = [
            log.task("report", "train", "check"),
            log.task("train", "features"),
            log.task("check", "load"),
            log.task("features", "load"),
            log.task("load"),
        ]
        adapter.run("flights", tasks)
        assert sorted(log.calls) == sorted(task.name for task in tasks)
        for task in tasks:
            assert all(log.calls.index(before) < log.calls.index(task.name) for before in task.after)

    def test_there_is_one_result_per_task_in_the_order_given(self, adapter: Any) -> None:
        results = adapter.run("two", [Task("second", nothing, ("first",)), Task("first", nothing)])
        assert [(r.name, r.status, r.attempts, r.error) for r in results] == [
            ("second", SUCCEEDED, 1, None),
            ("first", SUCCEEDED, 1, None),
        ]
        assert all(result.duration_s >= 0 for result in results)

    def test_each_result_is_heard_of_once_and_after_those_before_it(self, adapter: Any) -> None:
        heard: list[TaskResult] = []
        chain = [Task("c", nothing, ("b",)), Task("b", nothing, ("a",)), Task("a", nothing)]
        results = adapter.run("chain", chain, on_result=heard.append)
        assert [result.name for result in heard] == ["a", "b", "c"]
        assert sorted(heard, key=lambda result: result.name, reverse=True) == results

    def test_a_failed_task_carries_the_error_that_it_raised(self, adapter: Any) -> None:
        error = ValueError("no such column: größe")
        (result,) = adapter.run("one", [Task("bad", raising(error))])
        assert (result.status, result.attempts) == (FAILED, 1)
        assert type(result.error) is ValueError
        assert str(result.error) == str(error)

    def test_a_failed_task_stops_only_what_depends_on_it(self, adapter: Any) -> None:
        log = Log()
        tasks = [
            Task("bad", raising(ValueError("broken"))),
            log.task("child", "bad"),
            log.task("grandchild", "child", "other"),
            log.task("other"),
            log.task("follower", "other"),
        ]
        results = adapter.run("mixed", tasks)
        assert [result.status for result in results] == [FAILED, SKIPPED, SKIPPED, SUCCEEDED, SUCCEEDED]
        assert sorted(log.calls) == ["follower", "other"]

    def test_a_skipped_task_has_no_attempt_and_no_error_and_is_heard_of(self, adapter: Any) -> None:
        heard: list[TaskResult] = []
        tasks = [Task("bad", raising(ValueError("broken"))), Task("child", nothing, ("bad",))]
        _, skipped = adapter.run("skip", tasks, on_result=heard.append)
        assert (skipped.status, skipped.attempts, skipped.error) == (SKIPPED, 0, None)
        assert [result.name for result in heard] == ["bad", "child"]

    def test_an_unavailable_task_is_tried_again_until_it_succeeds(self, adapter: Any) -> None:
        answers: list[BaseException | None] = [Unavailable("no answer"), None]

        def flaky() -> None:
            error = answers.pop(0)
            if error is not None:
                raise error

        (result,) = adapter.run("flaky", [Task("flaky", flaky, retries=3)])
        assert (result.status, result.attempts, result.error) == (SUCCEEDED, 2, None)

    def test_a_task_that_stays_unavailable_fails_after_its_retries(self, adapter: Any) -> None:
        (result,) = adapter.run("down", [Task("down", raising(Unavailable("no answer")), retries=2)])
        assert (result.status, result.attempts) == (FAILED, 3)
        assert isinstance(result.error, Unavailable)

    def test_no_other_error_is_tried_again(self, adapter: Any) -> None:
        (result,) = adapter.run("bad", [Task("bad", raising(OSError("broken")), retries=5)])
        assert (result.status, result.attempts) == (FAILED, 1)

    def test_ctrl_c_starts_no_further_task_and_is_raised(self, adapter: Any) -> None:
        log = Log()
        tasks = [Task("stop", raising(KeyboardInterrupt())), log.task("next", "stop")]
        with pytest.raises(KeyboardInterrupt):
            adapter.run("stopped", tasks)
        assert log.calls == []

    def test_two_tasks_of_one_name_are_refused_before_anything_runs(self, adapter: Any) -> None:
        log = Log()
        with pytest.raises(RefusedInput, match="twin"):
            adapter.run("twins", [log.task("single"), log.task("twin"), log.task("twin")])
        assert log.calls == []

    def test_an_unknown_name_is_refused_before_anything_runs(self, adapter: Any) -> None:
        log = Log()
        with pytest.raises(RefusedInput, match="nowhere"):
            adapter.run("unknown", [log.task("first"), log.task("second", "nowhere")])
        assert log.calls == []

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_a_cycle_is_refused_before_anything_runs(self, adapter: Any, size: int) -> None:
        log = Log()
        ring = [log.task(f"task{n}", f"task{(n + 1) % size}") for n in range(size)]
        with pytest.raises(RefusedInput, match="task0"):
            adapter.run("ring", [log.task("free"), *ring])
        assert log.calls == []

    def test_a_runner_can_be_used_again_after_a_failed_run(self, adapter: Any) -> None:
        adapter.run("bad", [Task("bad", raising(ValueError("broken")))])
        (result,) = adapter.run("good", [Task("good", nothing)])
        assert result.status is SUCCEEDED

    def test_runs_in_several_threads_do_not_mix(self, adapter: Any) -> None:
        logs = [Log() for _ in range(4)]
        threads = [
            threading.Thread(target=adapter.run, args=("same", [log.task("a"), log.task("b", "a")])) for log in logs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [log.calls for log in logs] == [["a", "b"]] * 4

    def test_a_name_is_any_text(self, adapter: Any) -> None:
        names = ["größe", "a/b", "🚀", " ", "n" * 500]
        results = adapter.run("Ω/..", [Task(name, nothing) for name in names])
        assert [result.name for result in results] == names
