"""What every search asks of its arguments before it reads the table."""

from pathlib import Path

from stackproof.adapters.automl.package_folder import refuse_existing
from stackproof.errors import RefusedInput


def check_request(budget_s: float, into: Path) -> None:
    """Raises `RefusedInput` for a budget that is no time, `Conflict` when something is at `into` already."""
    if not budget_s >= 0:
        raise RefusedInput("The budget is no time", got=f"{budget_s} s", allowed="0 seconds or more")
    refuse_existing(into)
