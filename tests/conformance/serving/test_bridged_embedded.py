"""The embedded adapter of `serving` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.serving import ServingConformance


@pytest.mark.slow
class TestBridgedEmbedded(ServingConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("serving", "embedded").path
        return bridged("serving", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
