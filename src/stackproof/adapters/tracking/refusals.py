"""What every tracking refuses, in the same words."""

from collections.abc import Mapping
from pathlib import Path

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.roles.tracking import Param, RunStatus


def check_params(params: Mapping[str, Param]) -> None:
    """Raises `RefusedInput` for a value that is no text, number, boolean or None."""
    for name, value in params.items():
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise RefusedInput(
                f"The parameter {name!r} has no plain value",
                got=f"{value!r:.200}",
                allowed="text, numbers, booleans, None",
            )


def check_end(status: RunStatus) -> None:
    """Raises `RefusedInput` for the status of a run that goes on."""
    if status is RunStatus.RUNNING:
        raise RefusedInput("A run cannot end as running", allowed="finished, failed, killed")


def check_package(package: Path) -> None:
    """Raises `RefusedInput` for a file."""
    if package.is_file():
        raise RefusedInput("A model package is a folder", got=package, allowed="a folder that holds the model")


def no_run(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id!r}", next_command="stackproof runs")


def no_artifact(run_id: str, name: str) -> NotFound:
    return NotFound(f"The run {run_id} has no artifact {name!r}", next_command=f"stackproof show {run_id}")


def ended(run_id: str, status: str) -> Conflict:
    return Conflict(
        f"The run {run_id} has ended, and takes no more writes",
        got=f"status {status!r}",
        allowed="a running run; start another one",
    )


def another_value(run_id: str, name: str, got: object, known: object) -> Conflict:
    return Conflict(f"The parameter {name!r} of {run_id} has another value", got=got, allowed=str(known))
