"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told of progress from any thread. `total` None means that the end is not known."""

    def __call__(self, what: str, done: int, total: int | None = None) -> None: ...


def silent(what: str, done: int, total: int | None = None) -> None:
    """For callers that show nothing."""
