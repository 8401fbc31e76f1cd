"""The embedded adapter of `orchestration` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.orchestration import OrchestrationConformance


@pytest.mark.slow
class TestBridgedEmbedded(OrchestrationConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("orchestration", "embedded").path
        return bridged("orchestration", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
