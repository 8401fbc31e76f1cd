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
def tool_python(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """The interpreter of an environment that holds the tool; the test is skipped where it can't be made."""
    assert request.config.cache is not None
    cache = request.config.cache.mkdir("stackproof-tools")

    def made(tool: str) -> Path:
        installs = tomllib.loads(files("stackproof.facts").joinpath("installs.toml").read_text())["installs"]
        install = next(entry for entry in installs if entry["tool"] == tool)
        folder = cache / f"{tool}-py{sys.version_info.major}.{sys.version_info.minor}"
        python = folder / "bin" / "python"
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            requirements = [install["requirement"], *install.get("also", []), "pyarrow"]
            _uv("venv", "--no-project", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--python", str(python), *requirements)
            (folder / "complete").touch()
        return python

    return made


def _uv(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), "--quiet", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"the tool's environment can't be made: {done.stderr.strip()[-300:]}")
