from pathlib import Path

from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.roles.adapter import Setting
from stackproof.testing.versioning import VersioningConformance


class TestEmbeddedSnapshots(VersioningConformance):
    def make(self, home: Path) -> EmbeddedSnapshots:
        return EmbeddedSnapshots(Setting(home=home))
