"""The embedded server keeps the contract of the role `serving`."""

from pathlib import Path

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.roles.adapter import Setting
from stackproof.testing.serving import ServingConformance


class TestEmbeddedServer(ServingConformance):
    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home=home))
