from pathlib import Path

from stackproof.adapters.tracking.jsonl import JsonLinesTracking
from stackproof.roles.adapter import Setting
from stackproof.testing.tracking import TrackingConformance


class TestJsonLinesTracking(TrackingConformance):
    def make(self, home: Path) -> JsonLinesTracking:
        return JsonLinesTracking(Setting(home=home))
