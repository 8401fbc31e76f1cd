"""The real tools, each in an environment of its own, made once from its lock and kept in pytest's cache."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from uv import find_uv_bin

MINOR = f"py{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="session")
def environment_with(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """The interpreter of an environment with these requirements; the test is skipped where it can't be made."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("stackproof-tools")

    def made(name: str, *requirements: str) -> Path:
        folder = cache / f"{name}-{MINOR}-locked"
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--no-project", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--python", str(python), *requirements)
            (folder / "complete").touch()
        return python

    return made


@pytest.fixture(scope="session")
def tool_python(environment_with: Callable[..., Path]) -> Callable[[str], Path]:
    """The interpreter of an environment that is made from the tool's shipped lock."""

    def made(tool: str) -> Path:
        lock = files("stackproof.envs").joinpath("locks", f"{tool}-{MINOR}.txt")
        return environment_with(tool, "--require-hashes", "--requirement", str(lock))

    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), "--quiet", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the environment can't be made: {done.stderr.strip()[-300:]}")
