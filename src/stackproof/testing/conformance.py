"""The base of every conformance class.

An adapter proves itself with about ten lines:

    class TestMyTool(TrackingConformance):
        deviations = MyTool.deviations  # {"test_nan_is_kept": "the tool stores no NaN, issue 123"}

        def make(self, home):
            return MyTool(Setting(home=home))

Each deviation is a strict expected failure: it must fail, and it must name a test that exists.
`python -m stackproof.testing.suite ROLE TOOL` runs the role's suite on a registered adapter without these lines.
A test that needs a capability which the adapter has not is skipped, and says so.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackproof.roles.adapter import Option


class Conformance:
    """Subclasses give `make`; tests take the fixtures `adapter` and `home`."""

    deviations: ClassVar[Mapping[str, str]] = {}

    def make(self, home: Path) -> Any:
        """A new adapter over `home`, an existing folder that may hold an earlier one's data."""
        raise NotImplementedError

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        home = tmp_path / "home"
        home.mkdir()
        return home

    @pytest.fixture
    def adapter(self, home: Path) -> Iterator[Any]:
        adapter = self.make(home)
        yield adapter
        adapter.close()

    def test_it_names_its_tool_capabilities_and_options(self, adapter: Any) -> None:
        assert adapter.tool
        assert adapter.capabilities
        assert all(isinstance(option, Option) for option in adapter.options.values())

    def test_it_reports_its_health_with_a_version(self, adapter: Any) -> None:
        health = adapter.health()
        assert health.ok, health.detail
        assert health.version

    def test_it_links_to_nothing_that_it_does_not_hold(self, adapter: Any) -> None:
        needs(adapter, "links")
        kinds = ("run:none", "model:none@1", "data:none@000000000000", "features:none@0", "deployment:none@1")
        for identifier in kinds:
            assert adapter.link(identifier, "") == ""

    def test_closing_twice_is_harmless(self, home: Path) -> None:
        adapter = self.make(home)
        adapter.close()
        adapter.close()


def needs(adapter: Any, capability: str) -> None:
    """Skip the test when the adapter has not the capability."""
    if capability not in adapter.capabilities:
        pytest.skip(f"{adapter.tool} has not the capability {capability!r}")
