from pathlib import Path

from stackproof.adapters.automl.embedded import SklearnSearch
from stackproof.roles.adapter import Setting
from stackproof.testing.automl import AutoMLConformance


class TestSklearnSearch(AutoMLConformance):
    def make(self, home: Path) -> SklearnSearch:
        return SklearnSearch(Setting(home=home))
