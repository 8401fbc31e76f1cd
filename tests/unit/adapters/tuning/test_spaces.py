import math

import pytest

from stackproof.adapters.tuning.spaces import check_request
from stackproof.errors import RefusedInput
from stackproof.roles.tuning import Choice, FloatRange, IntRange


def test_every_fault_of_a_request_is_named_at_once() -> None:
    space = {"a": FloatRange(2.0, 1.0), "b": Choice((1, True)), "c": IntRange(0, 5, log=True)}
    with pytest.raises(RefusedInput) as refused:
        check_request(space, trials=-1, timeout_s=math.nan)
    named = " ".join(refused.value.faults)
    assert len(refused.value.faults) == 5
    assert all(part in named for part in ("a: ", "b: ", "c: ", "trials is -1", "timeout_s is nan"))


@pytest.mark.parametrize(
    "domain",
    [FloatRange(-math.inf, 0.0), FloatRange(0.0, math.nan), IntRange(0, 2**53 + 1)],
)
def test_bounds_that_a_double_cannot_hold_are_refused(domain: FloatRange | IntRange) -> None:
    with pytest.raises(RefusedInput):
        check_request({"x": domain}, trials=1, timeout_s=None)


def test_no_trials_and_no_time_are_allowed() -> None:
    check_request({"x": FloatRange(0.0, 1.0)}, trials=0, timeout_s=0.0)
