"""The embedded adapter of `automl` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.automl import AutoMLConformance


@pytest.mark.slow
class TestBridgedEmbedded(AutoMLConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("automl", "embedded").path
        return bridged("automl", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
