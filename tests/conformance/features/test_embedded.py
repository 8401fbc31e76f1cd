from pathlib import Path

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting
from stackproof.testing.features import FeaturesConformance


class TestEmbeddedFeatures(FeaturesConformance):
    def make(self, home: Path) -> EmbeddedFeatures:
        return EmbeddedFeatures(Setting(home=home))
