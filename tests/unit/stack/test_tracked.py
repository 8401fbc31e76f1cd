"""With a foreign tracking tool, the ledger and the tool end up telling the same of each run, whatever died when."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import StepFailed, Unavailable
from stackproof.roles.tracking import RunStatus
from stackproof.stack.pipeline import run_pipeline
from stackproof.stack.tracked import settle
from stackproof.stack.workspace import Workspace

Open = Callable[[], AbstractContextManager[Workspace]]

RUN_TRAIN = """
import os, signal, sys
from pathlib import Path
from stackproof.stack import tracked
from stackproof.stack.pipeline import run_pipeline
from stackproof.stack.project import load_project
from stackproof.stack.workspace import open_workspace
{fault}
with open_workspace(load_project(Path(sys.argv[1]))) as workspace:
    run_pipeline(workspace, workspace.project.pipelines["train"])
"""
DIE_BEFORE_THE_TOOL_HEARS_OF_THE_END = """
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
tracked._carry = die
"""
DIE_IN_A_STEP = """
from stackproof.stack.run import Run
Run.log_curve = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def on_json_lines(folder: Path) -> None:
    (folder / "stack.toml").write_text('schema = 1\nproject = "tiny"\n[roles.tracking]\ntool = "jsonl"\n')


def killed_while_training(folder: Path, fault: str) -> None:
    script = RUN_TRAIN.format(fault=textwrap.dedent(fault))
    died = subprocess.run([sys.executable, "-c", script, str(folder)], cwd=folder, check=False)
    assert died.returncode == -signal.SIGKILL


def both(workspace: Workspace) -> list[tuple[Any, Any, str]]:
    """Of each run: its status in the ledger, what the tool confirmed, and its status in the tool."""
    reader = workspace.live.adapter("tracking", "read-runs")
    return [
        (run.attributes.get("status"), run.attributes.get("tracked"), reader.get_run(run.id).status.value)
        for run in workspace.ledger.find("run")
    ]


def test_a_finished_run_is_finished_in_both(workspace: Workspace) -> None:
    done = run_pipeline(workspace, workspace.project.pipelines["train"])
    run = workspace.ledger.get(done.run_id)
    assert both(workspace) == [("finished", "finished", "finished")]
    assert run.attributes["tracking"] == "jsonl"
    (model,) = done.models
    assert (model.id, model.run_id) == ("model:tiny@1", done.run_id)


def test_a_failed_run_is_failed_in_both(workspace: Workspace) -> None:
    with pytest.raises(StepFailed):
        run_pipeline(workspace, workspace.project.pipelines["train"], {"fail": True})
    assert both(workspace) == [("failed", "failed", "failed")]


def test_a_run_that_was_killed_in_a_step_is_killed_in_both_and_told_once(open_project: Open, folder: Path) -> None:
    killed_while_training(folder, DIE_IN_A_STEP)
    for _ in range(2):
        with open_project() as workspace:
            settle(workspace)
            assert both(workspace) == [("killed", "killed", "killed")]


def test_an_end_that_the_tool_has_not_heard_of_is_carried_there_later(open_project: Open, folder: Path) -> None:
    killed_while_training(folder, DIE_BEFORE_THE_TOOL_HEARS_OF_THE_END)
    with open_project() as workspace:
        assert both(workspace) == [("finished", None, "running")]
        settle(workspace)
        assert both(workspace) == [("finished", "finished", "finished")]


def test_a_tool_that_is_away_at_the_end_hears_of_it_later(open_project: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_project() as workspace:
        tracking = workspace.live.adapter("tracking", "write-runs")

        def away(*_: object) -> None:
            raise Unavailable("The tracking server does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(tracking, "end_run", away)
            run_pipeline(workspace, workspace.project.pipelines["train"])
        assert both(workspace) == [("finished", None, "running")]
        settle(workspace)
        assert both(workspace) == [("finished", "finished", "finished")]


def test_points_that_did_not_become_durable_fail_the_run(open_project: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_project() as workspace:
        tracking = workspace.live.adapter("tracking", "write-runs")

        def away() -> None:
            raise Unavailable("The tracking server does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(tracking, "flush", away)
            with pytest.raises(Unavailable):
                run_pipeline(workspace, workspace.project.pipelines["train"])
        settle(workspace)
        assert both(workspace) == [("failed", "failed", "failed")]


def test_a_run_that_the_tool_could_not_start_is_failed_in_the_ledger(
    open_project: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_project() as workspace:
        tracking = workspace.live.adapter("tracking", "write-runs")

        def away(*_: object, **__: object) -> None:
            raise Unavailable("The tracking server does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(tracking, "start_run", away)
            with pytest.raises(Unavailable):
                run_pipeline(workspace, workspace.project.pipelines["train"])
        (run,) = workspace.ledger.find("run")
        assert run.attributes["status"] == RunStatus.FAILED.value
        assert run.attributes["tracked"] == "never started"
