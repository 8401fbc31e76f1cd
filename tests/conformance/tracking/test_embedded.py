from pathlib import Path

from stackproof.adapters.tracking.embedded import EmbeddedTracking
from stackproof.roles.adapter import Setting
from stackproof.testing.tracking import TrackingConformance


class TestEmbeddedTracking(TrackingConformance):
    def make(self, home: Path) -> EmbeddedTracking:
        return EmbeddedTracking(Setting(home=home))
