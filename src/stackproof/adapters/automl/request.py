"""What every search makes of its arguments, and in which order it tells its candidates."""

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

from stackproof.adapters.automl.package_folder import refuse_existing
from stackproof.errors import RefusedInput
from stackproof.roles.automl import Candidate


def check_request(budget_s: float, into: Path) -> None:
    """Raises `RefusedInput` for a budget that is no time, `Conflict` when something is at `into` already."""
    if not budget_s >= 0:
        raise RefusedInput("The budget is no time", got=f"{budget_s} s", allowed="0 seconds or more")
    refuse_existing(into)


def seed_of_31_bits(seed: int) -> int:
    """As the libraries take it; different seeds stay different, as far as 31 bits hold that."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big") >> 1


def best_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those without a score last; the earlier first where scores are equal."""
    return sorted(candidates, key=lambda candidate: math.inf if candidate.score is None else -candidate.score)
