"""The pytest plugin: turns the deviations of a conformance class into strict expected failures."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from stackproof.testing.conformance import Conformance

    for item in items:
        owner = getattr(item, "cls", None)
        if owner is None or not issubclass(owner, Conformance):
            continue
        unknown = [name for name in owner.deviations if not hasattr(owner, name)]
        if unknown:
            raise pytest.UsageError(f"{owner.__name__}.deviations names no test: {', '.join(unknown)}")
        reason = owner.deviations.get(getattr(item, "originalname", item.name))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
