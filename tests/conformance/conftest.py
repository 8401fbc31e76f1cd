"""The real tools, each in an environment of its own, made once and kept in pytest's cache, and their adapters.

A test file of one tool names it with its constants `ROLE` and `TOOL`; the fixtures from `entry` on are of that tool.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.errors import Unavailable
from stackproof.roles.adapter import Setting

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


@pytest.fixture(scope="module")
def entry(request: pytest.FixtureRequest) -> registry.Entry:
    """The registered adapter of the file's `ROLE` and `TOOL`."""
    return registry.find(request.module.ROLE, request.module.TOOL)


@pytest.fixture(scope="module")
def python(entry: registry.Entry, tool_python: Callable[[str], Path]) -> Path:
    """The interpreter of the tool's environment."""
    return tool_python(entry.tool)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder for an adapter."""
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def usual_options() -> Mapping[str, object]:
    """What `made` gives every adapter; a file or class whose adapters need options has a fixture of this name."""
    return {}


@pytest.fixture
def made(entry: registry.Entry, python: Path, usual_options: Mapping[str, object]) -> Iterator[Callable[..., Any]]:
    """Makes adapters, of a home and options, that are closed when the test ends."""
    with _bridged_adapters(entry, python) as make:
        yield lambda home, **options: make(home, **{**usual_options, **options})


@pytest.fixture(scope="module")
def made_to_last(entry: registry.Entry, python: Path) -> Iterator[Callable[..., Any]]:
    """Makes adapters, of a home and options, that are closed after the last test of the file."""
    with _bridged_adapters(entry, python) as make:
        yield make


@pytest.fixture(scope="module")
def shared(made_to_last: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One adapter for all tests of the file that share nothing else: many tools take seconds to start."""
    return made_to_last(tmp_path_factory.mktemp("home"))


@pytest.fixture
def in_its_own_environment(request: pytest.FixtureRequest, made: Callable[..., Any]) -> None:
    """For a conformance class: its `make` is `made`."""
    request.instance.make = made


@contextmanager
def _bridged_adapters(entry: registry.Entry, python: Path) -> Iterator[Callable[..., Any]]:
    """Each in a child of its own; those that are still open at the end are closed."""
    with ExitStack() as still_open:

        def make(home: Path, **options: object) -> Any:
            home.mkdir(parents=True, exist_ok=True)
            setting = Setting(home, options)
            adapter = bridged(entry.role, entry.tool, adapter=entry.path, python=python, setting=setting)
            still_open.callback(adapter.close)
            return adapter

        yield make
