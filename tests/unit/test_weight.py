"""The base install stays small."""

from importlib.metadata import distribution

from packaging.requirements import Requirement


def test_the_base_install_has_at_most_20_distributions() -> None:
    needed: set[str] = set()
    waiting = ["stackproof"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in needed:
            needed.add(name)
            required = [Requirement(text) for text in distribution(name).requires or ()]
            waiting += [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert len(needed) <= 20, sorted(needed)
