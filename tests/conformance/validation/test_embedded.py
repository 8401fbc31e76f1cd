from pathlib import Path

from stackproof.adapters.validation.embedded import PanderaValidator
from stackproof.roles.adapter import Setting
from stackproof.testing.validation import ValidationConformance


class TestPanderaValidator(ValidationConformance):
    def make(self, home: Path) -> PanderaValidator:
        return PanderaValidator(Setting(home=home))
