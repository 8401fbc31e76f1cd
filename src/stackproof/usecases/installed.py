"""What an installed distribution takes on the disk, with all that it needs."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed_closure(requirement: str) -> dict[str, int]:
    """Distribution to bytes: the one that is required, and all that it requires here, as far as they are installed."""
    found: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(requirement)]
    while waiting:
        asked = waiting.pop()
        name, extras = canonicalize_name(asked.name), asked.extras or {""}
        if {(name, extra) for extra in extras} <= seen:
            continue
        seen |= {(name, extra) for extra in extras}
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = found.get(name) or _bytes(installed)
        waiting += [needed for line in installed.requires or () if _holds(needed := Requirement(line), extras)]
    return found


def _holds(needed: Requirement, extras: set[str]) -> bool:
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""})


def _bytes(installed: Distribution) -> int:
    files = [installed.locate_file(file) for file in installed.files or ()]
    return sum(file.stat().st_size for file in files if file.is_file())  # type: ignore[attr-defined]  # they are real paths
