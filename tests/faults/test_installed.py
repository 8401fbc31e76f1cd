"""The package as it is installed: the base alone decides; what is missing is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stackproof.envs.capture import uv_command

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`stackproof` from a built wheel, with nothing but the base install."""
    folder = tmp_path_factory.mktemp("installed")
    uv, python = uv_command(), folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), str(ROOT)], check=True)
    return python.with_name("stackproof")


def run(command: Path, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(command), *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_base_install_decides(command: Path, tmp_path: Path) -> None:
    answers = ROOT / "examples" / "flights" / "answers.toml"
    done = run(command, "decide", "--answers", str(answers), "--out", "decided", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["roles"]["tracking"]["tool"]
    assert {path.name for path in (tmp_path / "decided").iterdir()} >= {"decision.json", "decision.md", "stack.toml"}


def test_the_base_install_tracks(command: Path, tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text('import stackproof as sp\nproject = sp.Project("bare", __file__)\n')
    done = run(command, "runs", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_the_quickstart_says_what_to_install(command: Path, tmp_path: Path) -> None:
    done = run(command, "quickstart", "here", cwd=tmp_path)
    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stderr
    assert "pip install 'stackproof[embedded,flights]'" in done.stderr


def test_check_names_what_each_role_lacks(command: Path, tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text('import stackproof as sp\nproject = sp.Project("bare", __file__)\n')
    done = run(command, "check", "--format", "json", cwd=tmp_path)
    found = {role["role"]: role for role in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["tracking"]["ok"]
    assert not found["features"]["ok"]
    assert "stackproof[embedded]" in found["features"]["detail"]
