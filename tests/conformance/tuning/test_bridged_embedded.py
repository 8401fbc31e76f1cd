"""The embedded adapter of `tuning` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.tuning import TuningConformance


@pytest.mark.slow
class TestBridgedEmbedded(TuningConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("tuning", "embedded").path
        return bridged("tuning", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
