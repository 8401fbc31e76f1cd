from pathlib import Path

from stackproof.adapters.orchestration.embedded import LocalRunner
from stackproof.roles.adapter import Setting
from stackproof.testing.orchestration import OrchestrationConformance


class TestLocalRunner(OrchestrationConformance):
    def make(self, home: Path) -> LocalRunner:
        return LocalRunner(Setting(home=home), sleep=lambda pause_s: None)
