"""Pipelines: cached by content, recorded whole, resumed after a kill."""

import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import RefusedInput, StepFailed, UnknownName
from stackproof.ledger import Relation
from stackproof.roles.tracking import RunStatus
from stackproof.stack.pipeline import PipelineRun, run_pipeline
from stackproof.stack.steps import read_kept
from stackproof.stack.workspace import Workspace

Open = Callable[[], AbstractContextManager[Workspace]]


def train(workspace: Workspace, fresh: bool = False, **params: Any) -> PipelineRun:
    return run_pipeline(workspace, workspace.project.pipelines["train"], params, fresh=fresh)


def cached(run: PipelineRun) -> dict[str, bool]:
    return {step.name: step.cached for step in run.steps}


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "tiny.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_second_run_takes_every_step_from_the_cache_and_logs_the_same(open_project: Open) -> None:
    with open_project() as workspace:
        first = train(workspace)
    with open_project() as workspace:
        second = train(workspace)
        reader = workspace.live.adapter("tracking", "read-runs")
        one, two = (reader.get_run(run.run_id) for run in (first, second))
        artifacts = [artifact.name for artifact in reader.list_artifacts(second.run_id)]
    assert set(cached(first).values()) == {False}
    assert set(cached(second).values()) == {True}
    assert two.metrics["factor"] == one.metrics["factor"] == 2.0
    assert math.isnan(two.metrics["odd"])
    assert artifacts == ["curves/line.json"]
    assert [step.output for step in first.steps] == [step.output for step in second.steps]


def test_a_parameter_runs_again_only_what_depends_on_it(workspace: Workspace) -> None:
    train(workspace)
    assert cached(train(workspace, fail=False)) == {"doubled": True, "summed": True, "modelled": True}
    assert cached(train(workspace, factor=3.0)) == {"doubled": False, "summed": False, "modelled": False}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("-3.0", "-4.0", {"doubled": False, "summed": False, "modelled": False}),
        (".sum()}", ".sum() + 1}", {"doubled": True, "summed": False, "modelled": False}),
        ('["x"].sum()}', '["x"].sum()}  # a comment', {"doubled": True, "summed": True, "modelled": True}),
        ("str(summed", "repr(summed", {"doubled": True, "summed": True, "modelled": False}),
    ],
)
def test_changed_code_or_data_runs_again_only_what_depends_on_it(
    open_project: Open, folder: Path, old: str, new: str, expected: dict[str, bool]
) -> None:
    with open_project() as workspace:
        train(workspace)
    edit(folder, old, new)
    with open_project() as workspace:
        assert cached(train(workspace)) == expected


def test_fresh_runs_every_step_and_gives_the_same_results(workspace: Workspace) -> None:
    first, second = train(workspace), train(workspace, fresh=True)
    assert set(cached(second).values()) == {False}
    assert [step.output for step in first.steps] == [step.output for step in second.steps]


def test_a_damaged_result_is_not_taken_from_the_cache(workspace: Workspace) -> None:
    first = train(workspace)
    blob = workspace.store.blobs.path(first.steps[0].output)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    second = train(workspace)
    assert cached(second)["doubled"] is False
    assert second.steps[0].output == first.steps[0].output


def test_the_run_records_all_that_its_reproduction_needs(workspace: Workspace) -> None:
    done = train(workspace, factor=5.0)
    entity = workspace.ledger.get(done.run_id)
    used = {
        link.target.partition(":")[0]
        for link in workspace.ledger.links_from(done.run_id)
        if link.relation is Relation.USED
    }
    assert {"data", "code", "env", "step"} <= used
    attributes: Any = entity.attributes
    assert attributes["params"] == {"factor": 5.0, "fail": False}
    assert attributes["status"] == "finished"
    assert attributes["datasets"] == {"rows": done.datasets["rows"].version.digest}
    assert workspace.store.blobs.tree(attributes["code"]).files[0].name == "tiny.py"
    lock: Any = workspace.ledger.get(workspace.environment.id).attributes["lock"]
    assert b"polars==" in workspace.store.blobs.read(lock)


def test_a_model_is_registered_once_for_each_run_and_linked_to_it(workspace: Workspace) -> None:
    done = train(workspace)
    (model,) = done.models
    assert model.id == "model:tiny@1"
    assert [link.target for link in workspace.ledger.links_from(model.id)] == [done.run_id]
    again = train(workspace).models[0]
    assert again.digest == model.digest
    assert workspace.live.adapter("tracking", "registry").get_model("tiny", "latest").version == again.version == 2


def test_a_step_that_raises_ends_the_run_as_failed_with_the_error_as_cause(workspace: Workspace) -> None:
    with pytest.raises(StepFailed, match=r"summed.*ZeroDivisionError: on purpose") as caught:
        train(workspace, fail=True)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    (run,) = workspace.live.adapter("tracking", "read-runs").search_runs("tiny")
    assert run.status is RunStatus.FAILED
    assert cached(train(workspace))["doubled"] is True


def test_an_unknown_parameter_is_refused_before_anything_is_recorded(workspace: Workspace) -> None:
    with pytest.raises(UnknownName, match="did you mean 'factor'"):
        train(workspace, factr=1.0)
    assert workspace.ledger.find("run") == []


def test_a_result_that_can_t_be_kept_is_refused_with_what_may_be(open_project: Open, folder: Path) -> None:
    edit(folder, 'return {"sum": doubled["x"].sum()}', "return object()")
    with open_project() as workspace, pytest.raises(RefusedInput, match="a table, a Model, or plain values"):
        train(workspace)


def test_a_dataset_that_breaks_an_expectation_keeps_the_pipeline_from_starting(
    open_project: Open, folder: Path
) -> None:
    edit(folder, "[1, 2, 3, 4]", "[1, 1, 3, 4]")
    with open_project() as workspace:
        with pytest.raises(RefusedInput, match="does not keep what was declared"):
            train(workspace)
        assert workspace.ledger.find("run") == []
        assert workspace.ledger.find("data") == []


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("return 5", "is no table"),
        ("return pl.DataFrame({'id': [], 'x': []})", "has no rows"),
        ("raise OSError('gone')", "gone"),
        ("return pl.DataFrame({'id': [1]})", "does not keep|lacks"),
    ],
)
def test_a_dataset_that_is_no_good_is_one_clear_error(open_project: Open, folder: Path, new: str, message: str) -> None:
    edit(folder, 'return pl.DataFrame({"id": [1, 2, 3, 4], "x": [1.0, 2.0, -3.0, 4.0]})', new)
    edit(folder, "severity=sp.Severity.WARNING", "severity=sp.Severity.ERROR")
    from stackproof.errors import StackproofError

    with open_project() as workspace, pytest.raises(StackproofError, match=message):
        train(workspace)


def test_a_killed_run_is_marked_killed_and_what_it_finished_is_not_done_again(open_project: Open, folder: Path) -> None:
    edit(
        folder,
        "    if fail:",
        '    import os, signal\n    os.path.exists("stop") or os.kill(os.getpid(), signal.SIGKILL)\n    if fail:',
    )
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from stackproof.stack.project import load_project
        from stackproof.stack.workspace import open_workspace
        from stackproof.stack.pipeline import run_pipeline
        with open_workspace(load_project(Path(sys.argv[1]))) as workspace:
            run_pipeline(workspace, workspace.project.pipelines["train"])
        """
    )
    died = subprocess.run([sys.executable, "-c", script, str(folder)], cwd=folder, check=False)
    assert died.returncode == -signal.SIGKILL
    (folder / "stop").touch()
    previous = Path.cwd()
    os.chdir(folder)
    try:
        with open_project() as workspace:
            done = train(workspace)
            runs = workspace.live.adapter("tracking", "read-runs").search_runs("tiny")
    finally:
        os.chdir(previous)
    assert cached(done)["doubled"] is True
    assert [run.status for run in runs] == [RunStatus.FINISHED, RunStatus.KILLED]


def test_what_a_step_returned_is_read_back_as_it_was(workspace: Workspace) -> None:
    from stackproof.stack.steps import Kept

    done = train(workspace)
    table, plain, model = (read_kept(workspace, Kept(step.kind, step.output)) for step in done.steps)
    assert table["x"].to_list() == [2.0, 4.0, -6.0, 8.0]
    assert plain == {"sum": 8.0}
    assert (model.package / model.signature.file).read_text() == "8.0"


def test_a_commit_that_changes_no_file_of_the_project_changes_nothing(open_project: Open, folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    with open_project() as workspace:
        first = train(workspace)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "second"], check=True)
    with open_project() as workspace:
        second = train(workspace)
        commits = [workspace.ledger.get(run.run_id).attributes["git_commit"] for run in (first, second)]
    assert set(cached(second).values()) == {True}
    assert len(set(commits)) == 2


def test_another_tool_that_decides_results_runs_the_steps_again(open_project: Open, folder: Path) -> None:
    with open_project() as workspace:
        train(workspace)
    (folder / "stack.toml").write_text('schema = 1\nproject = "tiny"\n[roles.tuning]\ntool = "random"\n')
    with open_project() as workspace:
        assert set(cached(train(workspace)).values()) == {False}
