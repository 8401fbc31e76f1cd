"""The embedded adapter of `versioning` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.versioning import VersioningConformance


@pytest.mark.slow
class TestBridgedEmbedded(VersioningConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("versioning", "embedded").path
        return bridged("versioning", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
