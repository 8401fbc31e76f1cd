from pathlib import Path

from stackproof.adapters.tuning.embedded import OptunaTuner
from stackproof.roles.adapter import Setting
from stackproof.testing.tuning import TuningConformance


class TestOptunaTuner(TuningConformance):
    def make(self, home: Path) -> OptunaTuner:
        return OptunaTuner(Setting(home=home))
