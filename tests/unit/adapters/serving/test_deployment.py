"""Which version answers which request, and which deployments are refused."""

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.serving.deployment import LiveDeployment, bounds_of, bring_live
from stackproof.errors import RefusedInput
from stackproof.roles.serving import Deployment, Route
from stackproof.testing.serving_load import binomial_bounds

weight_lists = st.lists(st.floats(0, 100) | st.just(0.0), min_size=1, max_size=5).filter(lambda ws: sum(ws) > 1e-3)


def live(weights: list[float]) -> LiveDeployment:
    """Versions 1, 2, … without packages."""
    versions = {str(number + 1): None for number in range(len(weights))}
    return LiveDeployment(Deployment("deployment:1", "m", ()), versions, bounds_of(weights))  # type: ignore[arg-type]


@given(weight_lists, st.text())
def test_the_same_request_always_gets_the_same_version_and_never_one_without_weight(
    weights: list[float], request_id: str
) -> None:
    chosen = live(weights).choose(request_id)
    assert chosen == live(weights).choose(request_id)
    assert weights[int(chosen) - 1] > 0


def test_the_shares_follow_the_weights() -> None:
    count = 20_000
    deployment = live([0.9, 0.09, 0.01])
    chosen = Counter(deployment.choose(f"request {number}") for number in range(count))
    for number, share in (("1", 0.9), ("2", 0.09), ("3", 0.01)):
        mean, spread = count * share, math.sqrt(count * share * (1 - share))
        assert abs(chosen[number] - mean) < 6 * spread


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.text())
def test_a_larger_canary_only_takes_requests_from_the_old_version(first: float, more: float, request_id: str) -> None:
    before = live([1 - first, first] if first else [1.0, 0.0]).choose(request_id)
    after = live([1 - first - more, first + more] if first + more else [1.0, 0.0]).choose(request_id)
    assert not (before == "2" and after == "1")


def test_binomial_bounds_hold_the_middle_and_shut_out_the_ends() -> None:
    low, high = binomial_bounds(100, 0.5, tail=0.025)
    assert (low, high) == (40, 60)


@pytest.mark.parametrize(
    ("name", "weights", "fault"),
    [
        ("../etc", [1.0], "name"),
        ("", [1.0], "name"),
        ("a b", [1.0], "name"),
        ("m", [0.0, 0.0], "no route"),
        ("m", [], "no route"),
        ("m", [-1.0, 2.0], "weights"),
        ("m", [math.nan], "weights"),
        ("m", [math.inf], "weights"),
    ],
)
def test_a_deployment_that_cannot_be_served_is_refused(
    name: str, weights: list[float], fault: str, tmp_path: Path
) -> None:
    routes = tuple(Route("m", number, tmp_path, weight) for number, weight in enumerate(weights))
    with pytest.raises(RefusedInput, match=fault):
        bring_live(Deployment("deployment:1", name, routes))


def test_two_routes_of_one_version_are_refused(tmp_path: Path) -> None:
    routes = (Route("a", 1, tmp_path, 1.0), Route("b", 1, tmp_path, 1.0))
    with pytest.raises(RefusedInput, match="version 1"):
        bring_live(Deployment("deployment:1", "m", routes))
