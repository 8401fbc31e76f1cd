"""What the adapters of foreign model servers share: versions kept where the tool looks, and the way of a request."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from stackproof.adapters.serving.deployment import LiveDeployment, Version, bring_live
from stackproof.adapters.serving.gathering import GatheredFeatures, GatheredLog
from stackproof.adapters.serving.inference import Inference, Limits
from stackproof.adapters.serving.packages import Package
from stackproof.adapters.serving.trial import load_safely
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog


def bring_live_from(
    deployment: Deployment, before: LiveDeployment | None, keep: Callable[[Version], Package]
) -> LiveDeployment:
    """As `bring_live`; `keep` puts a version that `before` has not loaded where the tool looks, and reads it there."""
    versions = list(before.versions.values()) if before else []
    known = {(version.route.model_id, version.route.package) for version in versions}
    new = [route for route in deployment.routes if (route.model_id, route.package) not in known]
    packages = load_safely([route.package for route in new])
    read = [Version(route, package) for route, package in zip(new, packages, strict=True)]
    loaded = {str(number): version for number, version in enumerate([*versions, *read])}
    live = bring_live(deployment, LiveDeployment(deployment, loaded, ()))
    kept = {
        number: Version(version.route, keep(version)) if version.route in new else version
        for number, version in live.versions.items()
    }
    return LiveDeployment(deployment, kept, live.bounds)


@contextmanager
def inferring(
    live: LiveDeployment, features: OnlineFeatures | None, log: PredictionLog, limits: dict[str, float]
) -> Iterator[Inference]:
    """Answers requests; the features and the log are those of another process. `limits`: as `limits_of` gives them."""
    gathered = GatheredLog(log)
    looked_up = GatheredFeatures(features) if features is not None else None
    inference = Inference(live, looked_up, gathered, Limits.of(limits))
    try:
        yield inference
    finally:
        inference.close()
        gathered.close()


@contextmanager
def counting_anew() -> Iterator[None]:
    """A tool counts in the registry of the whole process, where its next server would find the names taken."""
    registry = import_module("prometheus_client").REGISTRY
    before = set(registry._collector_to_names)
    try:
        yield
    finally:
        for collector in set(registry._collector_to_names) - before:
            registry.unregister(collector)


@contextmanager
def logging_as_it_is() -> Iterator[None]:
    """Handlers that a tool gives the root logger would keep what is logged from whoever called us."""
    handlers = logging.root.handlers[:]
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
