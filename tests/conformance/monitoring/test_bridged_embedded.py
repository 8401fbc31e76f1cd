"""The embedded adapter of `monitoring` keeps its contract when it runs in a child process."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.monitoring import MonitoringConformance


@pytest.mark.slow
class TestBridgedEmbedded(MonitoringConformance):
    deviations: ClassVar[Mapping[str, str]] = {
        "test_an_alert_reaches_the_console_a_file_and_a_webhook": "the console of a child is not the user's: "
        "what it prints is kept for its log",
    }

    def make(self, home: Path) -> Any:
        path = registry.find("monitoring", "embedded").path
        return bridged(
            "monitoring",
            "embedded",
            adapter=path,
            python=Path(sys.executable),
            setting=Setting(home, {"webhook_timeout_s": 0.3}),
        )
