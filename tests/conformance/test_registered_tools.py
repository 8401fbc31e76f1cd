"""Every tool in the registry keeps its role's contract in its own environment: here, or in a test of its own."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stackproof.adapters import registry
from stackproof.envs.locking import locked_tools
from stackproof.usecases.conformance import run_suite

HERE = Path(__file__).parent


def runs_its_suite_itself(entry: registry.Entry) -> bool:
    own = HERE / entry.role / f"test_{entry.tool.replace('-', '_')}.py"
    return own.exists() and re.search(r"^class Test\w+\(\w+Conformance\)", own.read_text(), re.MULTILINE) is not None


WITHOUT = [entry for entry in registry.ADAPTERS if entry.tool in locked_tools() and not runs_its_suite_itself(entry)]


@pytest.mark.tools
@pytest.mark.parametrize("entry", WITHOUT, ids=lambda entry: f"{entry.role}-{entry.tool}")
def test_a_registered_tool_passes_its_roles_suite(entry: registry.Entry, tool_python: Callable[[str], Path]) -> None:
    result = run_suite(entry.role, entry.tool, tool_python(entry.tool))
    assert not result.failed
    assert result.passed > 0


@pytest.mark.parametrize("entry", registry.ADAPTERS, ids=lambda entry: f"{entry.role}-{entry.tool}")
def test_an_adapters_class_is_read_where_its_tool_is_not_installed(entry: registry.Entry) -> None:
    loaded = registry.load(entry)
    assert loaded.capabilities
    assert loaded.tool in (entry.tool, "embedded")
