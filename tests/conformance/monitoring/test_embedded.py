from pathlib import Path

from stackproof.adapters.monitoring.embedded import EmbeddedMonitoring
from stackproof.roles.adapter import Setting
from stackproof.testing.monitoring import MonitoringConformance


class TestEmbeddedMonitoring(MonitoringConformance):
    def make(self, home: Path) -> EmbeddedMonitoring:
        return EmbeddedMonitoring(Setting(home=home, options={"webhook_timeout_s": 0.3}))
