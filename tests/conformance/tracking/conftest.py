"""What the tests of several tools for `tracking` share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry


@pytest.fixture
def tracking(made: Callable[..., Any], home: Path) -> Any:
    """An adapter of the tool, on an empty home."""
    return made(home)


@pytest.fixture
def in_its_own_environment(
    request: pytest.FixtureRequest,
    in_its_own_environment: None,
    entry: registry.Entry,
    python: Path,
    usual_options: Mapping[str, object],
) -> None:
    """For a conformance class: its `make` is `made`, and another process makes the same adapter."""

    def make_elsewhere(adapter: Any, home: Path) -> str:
        return (
            "from stackproof.envs.bridge.bridging import bridged\n"
            f"adapter = bridged({entry.role!r}, {entry.tool!r}, adapter={entry.path!r}, python=Path({str(python)!r}), "
            f"setting=Setting(Path({str(home)!r}), {dict(usual_options)!r}))"
        )

    request.instance.make_elsewhere = make_elsewhere
