"""A step's digest changes with what it does, and with nothing else."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from stackproof.stack.code import capture_code, function_digest
from stackproof.store import Blobs

SOURCE = '''
LIMIT = 5
NAMES = {"a", "b", "c"}

def helper(x):
    """Says what it does."""
    return x + LIMIT

def unrelated():
    return 1

def step(rows):
    # a comment
    return [helper(r) for r in rows if r in NAMES]
'''


@pytest.fixture
def digest(tmp_path: Path) -> Callable[[str], str]:
    counter = iter(range(100))

    def of(source: str) -> str:
        module = _load(tmp_path, f"project_{next(counter)}", source)
        return function_digest(module.step, tmp_path).replace(module.__name__, "project")

    return of


def _load(folder: Path, name: str, source: str) -> ModuleType:
    file = folder / "project.py"
    file.write_text(source)
    sys.modules.pop("project", None)
    spec = importlib.util.spec_from_file_location("project", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import linecache

    linecache.checkcache()
    return module


def test_comments_docstrings_layout_and_unused_code_don_t_count(digest: Callable[[str], str]) -> None:
    changed = SOURCE.replace("# a comment", "# another").replace("Says what it does.", "More words.")
    changed = changed.replace("return 1", "return 2").replace("x + LIMIT", "x  +  LIMIT")
    assert digest(SOURCE) == digest(changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper(r) for", "-helper(r) for"),
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 5", "LIMIT = 6"),
        ('"c"}', '"d"}'),
    ],
)
def test_what_a_step_does_counts_through_the_functions_and_constants_it_uses(
    digest: Callable[[str], str], old: str, new: str
) -> None:
    assert digest(SOURCE) != digest(SOURCE.replace(old, new))


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
    (project / "a.py").write_text("x = 2\n")
    dirty = capture_code(project, blobs)
    assert clean.commit == dirty.commit
    assert clean.patch is None
    assert dirty.patch is not None
    assert b"+x = 2" in blobs.read(dirty.patch)
    assert clean.digest != dirty.digest
