"""The real tools, each in an environment of its own, made once and kept in pytest's cache."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from uv import find_uv_bin

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.errors import Unavailable

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="session")
def tool_environments(request: pytest.FixtureRequest) -> Environments:
    """The environments of the tools, as `stackproof apply` makes them, in pytest's cache."""
    assert request.config.cache is not None
    return Environments(request.config.cache.mkdir("stackproof-tools") / "environments")


@pytest.fixture(scope="session")
def tool_python(tool_environments: Environments) -> Callable[[str], Path]:
    """The interpreter of the environment of a tool's shipped lock; the test is skipped where it can't be made."""

    def made(tool: str) -> Path:
        try:
            return tool_environments.ensure(Locks().find(tool, MINOR), Path(sys.executable)).python
        except Unavailable as problem:
            pytest.skip(f"the environment of {tool} can't be made: {problem}")

    return made


@pytest.fixture(scope="session")
def environment_with(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """The interpreter of an environment with these requirements; the test is skipped where it can't be made."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("stackproof-tools")

    def made(name: str, *requirements: str) -> Path:
        folder = cache / f"{name}-py{MINOR}"
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--no-project", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--python", str(python), *requirements)
            (folder / "complete").touch()
        return python

    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), "--quiet", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the environment can't be made: {done.stderr.strip()[-300:]}")
