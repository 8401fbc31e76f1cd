from collections.abc import Iterator
from pathlib import Path

import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting


@pytest.fixture
def features(tmp_path: Path) -> Iterator[EmbeddedFeatures]:
    adapter = EmbeddedFeatures(Setting(home=tmp_path))
    yield adapter
    adapter.close()
