"""The embedded adapter of `tracking` keeps its contract when it runs in a child process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.tracking import TrackingConformance


@pytest.mark.slow
class TestBridgedEmbedded(TrackingConformance):
    def make_elsewhere(self, adapter: Any, home: Path) -> str:
        return (
            "from stackproof.adapters.tracking.embedded import EmbeddedTracking\n"
            f"adapter = EmbeddedTracking(Setting(home=Path({str(home)!r})))"
        )

    def make(self, home: Path) -> Any:
        path = registry.find("tracking", "embedded").path
        return bridged("tracking", "embedded", adapter=path, python=Path(sys.executable), setting=Setting(home))
