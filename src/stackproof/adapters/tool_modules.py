"""Modules that only a tool's own environment has."""

from importlib import import_module
from typing import Any

from stackproof.errors import NotFound


def imported(module: str, tool: str, packages: str) -> Any:
    """A module of `tool`, as people write it. `packages`: what `uv pip install` takes when it is not there.

    Raises `NotFound`.
    """
    try:
        return import_module(module)
    except ImportError as missing:
        raise NotFound(f"{tool} can't be imported: {missing}", next_command=f"uv pip install {packages}") from missing
