"""The embedded adapter of `validation` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.validation import ValidationConformance


@pytest.mark.slow
class TestBridgedEmbedded(ValidationConformance):
    def make(self, home: Path) -> Any:
        path = registry.find("validation", "embedded").path
        return bridged("validation", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
