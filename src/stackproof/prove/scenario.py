"""What a scenario is, and what it may be told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stackproof.prove.candidate import Opener, Running
from stackproof.prove.record import Record

SIZES = ("smoke", "medium", "full")

Predict = Callable[[Sequence[Sequence[float | None]]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Given:
    """What the user brings. `data`: a Parquet or CSV file, for versioning any file or folder. `model`: a model package.

    `predict`: what that model gives in this process, rows of inputs in the signature's order; None without a model.
    """

    data: Path | None = None
    model: Path | None = None
    predict: Predict | None = None


class Scenario(Protocol):
    """The work of one role. Its data are the same for every candidate and every round."""

    name: str
    needs: frozenset[str]
    """Capabilities without which there is nothing to measure. Others that are lacking leave out what needs them."""

    def round(self, running: Running, folder: Path, record: Record) -> None:
        """Do the work once, on an adapter without data; measure it, and check every result against the contract.

        `folder`: for files of the scenario's own.
        """
        ...

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        """Kill the candidate in the middle of the work, open it again over the same `home`, and compare."""
        ...
