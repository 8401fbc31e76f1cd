"""What every tuner asks of its arguments before the first trial."""

import math
from collections.abc import Iterator

from stackproof.errors import RefusedInput
from stackproof.roles.tuning import Choice, FloatRange, IntRange, Space


def check_request(space: Space, trials: int, timeout_s: float | None) -> None:
    """Raises `RefusedInput` with one fault for each thing that is wrong."""
    faults = [f"{name}: {fault}" for name, domain in space.items() for fault in _faults(domain)]
    if not space:
        faults.append("the space has no parameter")
    if trials < 0:
        faults.append(f"trials is {trials}, and must be 0 or more")
    if timeout_s is not None and not timeout_s >= 0:
        faults.append(f"timeout_s is {timeout_s}, and must be 0 or more seconds, or None")
    if faults:
        raise RefusedInput("The study cannot be run as asked", faults=faults)


def _faults(domain: FloatRange | IntRange | Choice) -> Iterator[str]:
    if isinstance(domain, Choice):
        yield from _choice_faults(domain)
    elif not (math.isfinite(domain.low) and math.isfinite(domain.high)):
        yield f"the bounds {domain.low} and {domain.high} must be finite"
    elif domain.low > domain.high:
        yield f"the range is empty: low is {domain.low}, high is {domain.high}"
    elif domain.log and domain.low <= 0:
        yield f"a log scale starts above 0, and low is {domain.low}"
    elif isinstance(domain, IntRange) and not _are_whole(domain):
        yield f"the bounds {domain.low} and {domain.high} must be integers within ±2**53"


def _choice_faults(domain: Choice) -> Iterator[str]:
    if not domain.values:
        yield "the choice has no value"
    for position, value in enumerate(domain.values):
        if value in domain.values[:position]:
            yield f"the value {value!r} equals an earlier one"


def _are_whole(domain: IntRange) -> bool:
    # Beyond 2**53 a double, in which studies are stored, no longer holds every integer.
    return all(isinstance(bound, int) and abs(bound) <= 2**53 for bound in (domain.low, domain.high))
