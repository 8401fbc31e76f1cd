"""The embedded adapter of `features` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.features import FeaturesConformance


@pytest.mark.slow
class TestBridgedEmbedded(FeaturesConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("features", "embedded").path
        return bridged("features", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
