"""`apply --upgrade` takes the newest releases of a real tool once its suite passes on them, and not before."""

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.main import cli
from stackproof.envs.environments import Environments, user_locks
from stackproof.envs.locking import Lock, Locks
from stackproof.envs.relock import resolve_lock

BEHIND = datetime.date(2026, 1, 1)
STACK = 'schema = 1\nproject = "small"\n[roles.tracking]\ntool = "tensorboard"\n'

pytestmark = pytest.mark.tools


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on TensorBoard, whose accepted lock has an older release of something that TensorBoard needs."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "stack.toml").write_text(STACK)
    assert invoke("apply", "--project", str(folder)).exit_code == 0
    recipe = user_locks().recipe("tensorboard")
    older = resolve_lock(replace(recipe, also=(*recipe.also, "markdown<3.9")), used(folder).python, BEHIND)
    user_locks().accept(replace(older, tested=BEHIND))
    return folder


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def used(project: Path) -> Lock:
    """The lock of TensorBoard that the project applied last."""
    registered = Environments().projects.of(project)
    assert registered is not None
    return registered.locks["tensorboard"]


def test_an_upgrade_whose_suite_passes_is_taken_and_applied(project: Path) -> None:
    assert invoke("apply", "--project", str(project)).exit_code == 0
    before = used(project)
    assert before.pins["markdown"].startswith("3.8")
    done = invoke("apply", "--upgrade", "tensorboard", "--project", str(project))
    assert done.exit_code == 0, done.stderr
    assert "markdown 3.8" in done.stderr
    assert "the new lock is taken" in done.stderr
    after = used(project)
    assert after.python == before.python
    assert after.pins["markdown"] == Locks().find("tensorboard", after.python).pins["markdown"]
    again = invoke("apply", "--upgrade", "tensorboard", "--project", str(project))
    assert again.exit_code == 0
    assert "nothing newer" in again.stderr
