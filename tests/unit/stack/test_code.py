"""A step's digest changes with what it does, and with nothing else."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackproof.stack.code import capture_code, code_files, step_code_digest
from stackproof.stack.project import load_project
from stackproof.store import Blobs

SOURCE = """
import functools
import stackproof as sp
from beside import shift

project = sp.Project("p", __file__)
LIMIT = 5
SCALE = functools.partial(lambda x, y: x * y, 2)


class Base:
    start = 1


class Sum(Base):
    pass


@functools.cache
def helper(x):
    \"\"\"Says what it does.\"\"\"
    return x + LIMIT


@project.dataset()
def rows():
    return [1, 2]


@project.step
def called(x):
    return x + 100


@project.step
def step(rows, called):
    # a comment
    from beside import late
    return [helper(r) + SCALE(r) + Sum.start + shift(r) + late(r) for r in rows]


@project.step
def other(step):
    return 1
"""
BESIDE = """
from deeper import base

def shift(x):
    return x + base()

def late(x):
    return x - 1
"""
DEEPER = "def base():\n    return 7\n"


@pytest.fixture
def digest(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """The digest of the step `step` of a project with these files."""
    sys.path.insert(0, str(tmp_path))

    def of(source: str = SOURCE, beside: str = BESIDE, deeper: str = DEEPER, name: str = "step") -> str:
        for file, text in (("project", source), ("beside", beside), ("deeper", deeper)):
            (tmp_path / f"{file}.py").write_text(text)
            sys.modules.pop(file, None)
        project = load_project(tmp_path)
        declared = [*project.steps.values(), *project.datasets.values()]
        return step_code_digest(project.steps[name], declared, tmp_path)

    yield of
    sys.path.remove(str(tmp_path))
    for file in ("beside", "deeper"):
        sys.modules.pop(file, None)


def test_comments_docstrings_layout_and_other_steps_don_t_count(digest: Callable[..., str]) -> None:
    changed = SOURCE.replace("# a comment", "# another").replace("Says what it does.", "More words.")
    changed = changed.replace("return 1\n", "return 2\n").replace("x + LIMIT", "x  +  LIMIT")
    changed = changed.replace("x + 100", "x + 101").replace("return [1, 2]", "return [1, 3]")
    assert changed != SOURCE
    assert digest() == digest(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[helper(r)", "[-helper(r)"),
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("x * y, 2", "x * y, 3"),
        ("x * y", "x + y"),
        ("start = 1", "start = 2"),
        ("from beside import late", "from beside import shift as late"),
        ("def step(rows, called)", "def step(rows, called, *, n=1)"),
    ],
)
def test_all_that_a_step_may_run_counts(digest: Callable[..., str], old: str, new: str) -> None:
    assert old in SOURCE
    assert digest() != digest(SOURCE.replace(old, new))


def test_modules_that_are_imported_count_however_deep(digest: Callable[..., str]) -> None:
    assert digest() != digest(beside=BESIDE.replace("x - 1", "x - 2"))
    assert digest() != digest(deeper=DEEPER.replace("7", "8"))


def test_another_step_counts_once_it_is_called(digest: Callable[..., str]) -> None:
    calling = SOURCE.replace("return [helper(r)", "return [other(r) + helper(r)")
    assert digest(calling) != digest(calling.replace("return 1\n", "return 2\n"))


def test_a_virtual_environment_in_the_folder_is_no_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "venv" / "lib").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "venv" / "lib" / "b.py").write_text("x = 1")
    assert [file.name for file in code_files(tmp_path)] == ["a.py"]


def test_a_snapshot_holds_code_and_leaves_out_the_rest(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".stackproof").mkdir(parents=True)
    (project / ".stackproof" / "x.py").write_text("hidden")
    (project / "a.py").write_text("x = 1\n")
    (project / "data.csv").write_text("1,2\n")
    blobs = Blobs(tmp_path / "blobs")
    state = capture_code(project, blobs)
    assert [file.name for file in blobs.tree(state.digest).files] == ["a.py"]
    assert state.commit is None


def test_in_a_repository_the_commit_and_the_uncommitted_changes_are_recorded(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("x = 1\n")
    git = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "a.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    blobs = Blobs(tmp_path / "blobs")
    clean = capture_code(project, blobs)
    (project / "a.py").write_bytes(b"x = 2  # caf\xe9\n")
    dirty = capture_code(project, blobs)
    assert clean.commit == dirty.commit
    assert clean.patch is None
    assert dirty.patch is not None
    assert b"+x = 2" in blobs.read(dirty.patch)
    assert clean.digest != dirty.digest
