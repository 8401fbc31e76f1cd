"""A deployment made live: its packages loaded, and the choice of a version for each request."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

from stackproof.adapters.serving.packages import Package
from stackproof.adapters.serving.trial import load_safely
from stackproof.errors import RefusedInput
from stackproof.roles.serving import Deployment, Route

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Version:
    """One model version that answers requests."""

    route: Route
    package: Package


@dataclass(frozen=True, slots=True)
class LiveDeployment:
    """`versions` by the number as text, in the order of the routes; `bounds` their cumulative shares."""

    deployment: Deployment
    versions: Mapping[str, Version]
    bounds: tuple[float, ...]

    def choose(self, request_id: str) -> str:
        """The same identifier always gets the same version, as long as the weights are the same."""
        share = int.from_bytes(blake2b(request_id.encode(), digest_size=6).digest()) / 2**48
        return next(number for number, bound in zip(self.versions, self.bounds, strict=True) if share < bound)


def bring_live(deployment: Deployment, before: LiveDeployment | None = None) -> LiveDeployment:
    """Load the packages that `before` has not loaded. Raises `RefusedInput` or `Corrupted`."""
    faults = _faults(deployment)
    if faults:
        raise RefusedInput(f"The deployment {deployment.name!r} cannot be served", faults=faults)
    versions = {str(version.route.version): version for version in _versions(deployment.routes, before)}
    return LiveDeployment(deployment, versions, bounds_of([route.weight for route in deployment.routes]))


def bounds_of(weights: Sequence[float]) -> tuple[float, ...]:
    """Cumulative shares. From the last route with weight on they are 1, whatever was rounded."""
    last = max(index for index, weight in enumerate(weights) if weight > 0)
    sums = list(accumulate(weights))
    return tuple(1.0 if index >= last else total / sums[-1] for index, total in enumerate(sums))


def _versions(routes: tuple[Route, ...], before: LiveDeployment | None) -> list[Version]:
    known = before.versions.values() if before else ()
    loaded = {(version.route.model_id, version.route.package): version.package for version in known}
    new = [route for route in routes if (route.model_id, route.package) not in loaded]
    for route, package in zip(new, load_safely([route.package for route in new]), strict=True):
        loaded[route.model_id, route.package] = package
    return [Version(route, loaded[route.model_id, route.package]) for route in routes]


def _faults(deployment: Deployment) -> list[str]:
    faults = []
    if not _NAME.fullmatch(deployment.name):
        faults.append(f"the name {deployment.name!r} is not made of letters, digits, '.', '_' and '-'")
    weights = [route.weight for route in deployment.routes]
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        faults.append(f"the weights {weights} are not all numbers of at least 0")
    elif not sum(weights) > 0:
        faults.append("no route has a weight above 0")
    numbers = [route.version for route in deployment.routes]
    faults += [f"two routes have the version {n}" for n in sorted({n for n in numbers if numbers.count(n) > 1})]
    return faults
