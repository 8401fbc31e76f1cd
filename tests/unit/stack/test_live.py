"""A live stack: which tool does what, where it runs, and what is said when it can't."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from stackproof.envs.environments import Environments
from stackproof.errors import Conflict, NotFound, UnknownName
from stackproof.stack.file import read_stack
from stackproof.stack.project import load_project
from stackproof.stack.workspace import Workspace, open_workspace
from stackproof.usecases.plan import apply, check, plan, take_over

Open = Callable[[], AbstractContextManager[Workspace]]


def write_stack(folder: Path, *roles: str, project: str = "tiny", name: str = "stack.toml") -> Path:
    file = folder / name
    file.write_text("\n".join(["schema = 1", f'project = "{project}"', *roles]))
    return file


@pytest.fixture
def nothing_installed(folder: Path, tmp_path: Path) -> Open:
    environments = Environments(tmp_path / "environments")
    return lambda: open_workspace(load_project(folder), tools=environments)


def test_a_tool_with_a_lock_lives_apart_unless_the_file_says_otherwise(folder: Path) -> None:
    file = write_stack(
        folder, '[roles.tracking]\ntool = "mlflow"', '[roles.versioning]\ntool = "dvc"\nenvironment = "shared"'
    )
    roles = read_stack(file).roles
    assert [roles[role].environment for role in ("tracking", "versioning", "serving")] == ["own", "shared", "shared"]


def test_a_tool_that_was_not_applied_is_not_healthy_and_says_which_command_applies_it(
    folder: Path, nothing_installed: Open
) -> None:
    write_stack(folder, '[roles.tracking]\ntool = "mlflow"')
    with nothing_installed() as workspace:
        with pytest.raises(NotFound, match=r"mlflow has no environment for this project yet.*Next: stackproof apply"):
            workspace.live.adapter("tracking", "write-runs")
        found = next(one for one in check(workspace) if one.role == "tracking")
    assert (found.ok, found.installed, found.runs) == (False, "no", "mlflow")
    assert "stackproof apply" in found.detail


def test_what_a_tool_lacks_is_filled_in_by_the_embedded_part_and_said(workspace: Workspace, folder: Path) -> None:
    write_stack(folder, '[roles.tracking]\ntool = "jsonl"')
    with open_workspace(load_project(folder)) as opened:
        found = next(one for one in check(opened) if one.role == "tracking")
        assert opened.live.tool("tracking", "registry") == "embedded"
        assert opened.live.tool("tracking", "write-runs") == "jsonl"
    assert found.ok
    assert found.installed == ""
    assert dict(found.fills_in) == {"registry": "embedded"}


def test_a_plan_names_what_applying_would_install(folder: Path, nothing_installed: Open) -> None:
    write_stack(folder, '[roles.tracking]\ntool = "mlflow"', '[roles.tuning]\ntool = "random"')
    with nothing_installed() as workspace:
        installs = {change.role: change.installs for change in plan(workspace, workspace.stack)}
    assert installs["tracking"] == ("mlflow",)
    assert installs["tuning"] == ()


def test_a_tool_of_the_facts_or_of_ones_own_without_an_adapter_is_embedded_but_a_slip_of_the_pen_is_refused(
    workspace: Workspace, folder: Path
) -> None:
    for name in ("neptune", "our-own-tracker", "mlflow-cloud", "our-mlflow"):
        found = next(one for one in plan(workspace, read_stack(_tracking(folder, name))) if one.role == "tracking")
        assert (found.tool, found.runs, found.because) == (
            name, "embedded", f"this version of Stackproof has no adapter for {name} yet",
        )  # fmt: skip
    with pytest.raises(UnknownName, match=r"no tool for the role tracking named 'mlflwo'; did you mean 'mlflow'"):
        plan(workspace, read_stack(_tracking(folder, "mlflwo")))


def test_a_tool_of_ones_own_facts_may_have_a_name_like_another(
    workspace: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own-facts"
    (own / "tools").mkdir(parents=True)
    (own / "tools" / "mlflaw.toml").write_text('id = "mlflaw"\n')
    stack = read_stack(_tracking(folder, "mlflaw"))
    with pytest.raises(UnknownName):
        plan(workspace, stack)
    monkeypatch.setenv("STACKPROOF_FACTS", str(own))
    assert plan(workspace, stack)[0].runs == "embedded"


def _tracking(folder: Path, tool: str) -> Path:
    return write_stack(folder, f'[roles.tracking]\ntool = "{tool}"', name="other.toml")


def test_an_option_that_a_tool_does_not_know_stops_the_plan_before_anything_is_installed(
    folder: Path, nothing_installed: Open
) -> None:
    write_stack(folder, '[roles.tracking]\ntool = "mlflow"\n[roles.tracking.options]\nurl = "http://127.0.0.1:5000"')
    with nothing_installed() as workspace, pytest.raises(UnknownName, match="uri"):
        apply(workspace, workspace.stack)


def test_a_secret_that_is_not_set_is_named_before_anything_is_recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALERTS", raising=False)
    write_stack(folder, '[roles.serving]\ntool = "embedded"\n[roles.serving.options]\nallowed_hosts = "${ALERTS}"')
    with open_workspace(load_project(folder)) as workspace:
        with pytest.raises(Exception, match="ALERTS, which is not set"):
            apply(workspace, workspace.stack)
        assert workspace.ledger.find("stack") == []


def test_a_stack_of_another_project_is_not_applied(workspace: Workspace, folder: Path) -> None:
    other = read_stack(write_stack(folder, project="other", name="other.toml"))
    with pytest.raises(Conflict, match="another project"):
        apply(workspace, other)


def test_an_applied_file_becomes_the_projects_own_as_it_is_written(workspace: Workspace, folder: Path) -> None:
    file = write_stack(folder, "# by hand", '[roles.tuning]\ntool = "random"', name="decided.toml")
    apply(workspace, read_stack(file))
    assert take_over(workspace, file).read_bytes() == file.read_bytes()
    with open_workspace(load_project(folder)) as opened:
        assert opened.live.tool("tuning", "search") == "random"
        assert {change.action for change in plan(opened, opened.stack)} == {"keep"}
