"""Which scenario proves which role."""

from importlib import import_module

from stackproof.errors import RefusedInput, UnknownName
from stackproof.prove.scenario import SIZES, Given, Scenario

SCENARIOS = {
    "tracking": "tracking:TrackingScenario",
    "features": "features:FeaturesScenario",
    "serving": "serving:ServingScenario",
    "orchestration": "orchestration:OrchestrationScenario",
    "monitoring": "monitoring:MonitoringScenario",
    "versioning": "versioning:VersioningScenario",
    "validation": "validation:ValidationScenario",
}
TAKES_DATA = frozenset({"features", "monitoring", "versioning", "validation"})


def make_scenario(role: str, size: str, given: Given) -> Scenario:
    """Raises `UnknownName` for a role without a scenario or a size that there is not, `RefusedInput` for data or a
    model that the role has no use for or can't use.
    """
    if role not in SCENARIOS:
        raise UnknownName("scenario for a role", role, SCENARIOS)
    if size not in SIZES:
        raise UnknownName("size", size, SIZES)
    if given.data is not None and role not in TAKES_DATA:
        raise RefusedInput(
            f"The scenario of {role} takes no data", allowed=f"--data with {', '.join(sorted(TAKES_DATA))}"
        )
    if given.model is not None and role != "serving":
        raise RefusedInput(f"The scenario of {role} takes no model", allowed="--model with serving")
    module, _, name = SCENARIOS[role].partition(":")
    scenario: Scenario = getattr(import_module(f"stackproof.prove.{module}"), name)(size, given)
    return scenario
