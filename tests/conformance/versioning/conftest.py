"""The real tools, each in an environment of its own, made once and kept in pytest's cache."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from uv import find_uv_bin


@pytest.fixture(scope="session")
def environment_with(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """The interpreter of an environment with these requirements; the test is skipped where it can't be made."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("stackproof-tools")

    def made(name: str, *requirements: str) -> Path:
        folder = cache / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
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
    """The interpreter of an environment that holds the tool."""

    def made(tool: str) -> Path:
        recipes = tomllib.loads(files("stackproof.envs").joinpath("locks", "tools.toml").read_text())["tools"]
        recipe = next(entry for entry in recipes if entry["tool"] == tool)
        return environment_with(tool, *recipe["requirements"], *recipe.get("also", []))

    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), "--quiet", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the tool's environment can't be made: {done.stderr.strip()[-300:]}")
