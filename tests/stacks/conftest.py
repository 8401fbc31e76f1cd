"""Commands on stacks of external tools, whose environments are kept in pytest's cache."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def stackproof(request: pytest.FixtureRequest) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command in a folder, with environments that are kept in pytest's cache."""
    assert request.config.cache is not None
    tools = request.config.cache.mkdir("stackproof-tools")
    shared, data = tools / "environments", tools / "data" / "stackproof"
    shared.mkdir(exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (data / "environments").symlink_to(shared)

    def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "stackproof", *arguments]
        variables = os.environ | {"XDG_DATA_HOME": str(data.parent)}
        return subprocess.run(command, cwd=cwd, env=variables, check=False, capture_output=True, text=True)

    return run
