from pathlib import Path

from stackproof.adapters.tuning.random_search import RandomSearch
from stackproof.roles.adapter import Setting
from stackproof.testing.tuning import TuningConformance


class TestRandomSearch(TuningConformance):
    def make(self, home: Path) -> RandomSearch:
        return RandomSearch(Setting(home=home))
