"""How long the bridge waits, and how much may be under way. Every wait has an end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from stackproof.errors import Unavailable

TICK_S = 0.2
"""The longest single wait: Ctrl-C and a lost child are seen within it."""


class OutOfTime(Unavailable):
    """A wait came to its end."""

    def __init__(self) -> None:
        super().__init__("The other side of the bridge did not answer in time")


@dataclass(frozen=True, slots=True)
class Limits:
    """`call_s`: one call, unless its contract runs the user's code or serves. `start_s`: from the start of the
    child to its description. `silence_s`: a child that answers no ping for this long, while a call waits for it,
    is ended. `close_s`: closing the adapter. `stop_s`: the end of its process after that, then it is killed.

    `calls` and `bytes_in_flight`: what may be under way in one direction; more waits. `restarts` a minute, after
    pauses of `first_pause_s`, twice that, and so on up to `longest_pause_s`. `message_bytes`: one message.
    """

    call_s: float = 600.0
    start_s: float = 120.0
    silence_s: float = 60.0
    close_s: float = 60.0
    stop_s: float = 5.0
    calls: int = 64
    bytes_in_flight: int = 256 << 20
    restarts: int = 5
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    message_bytes: int = 1 << 30


_until: ContextVar[float | None] = ContextVar("bridge_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bridged calls made inside return within `seconds`, or raise `Unavailable`; an inner, earlier one counts."""
    until, outer = time.monotonic() + seconds, _until.get()
    token = _until.set(until if outer is None else min(until, outer))
    try:
        yield
    finally:
        _until.reset(token)


def until(seconds: float | None) -> float | None:
    """When a call must have ended, on the monotonic clock: after `seconds`, or at the deadline that holds here."""
    own, given = None if seconds is None else time.monotonic() + seconds, _until.get()
    return min((moment for moment in (own, given) if moment is not None), default=None)


def left(until: float | None) -> float:
    """Seconds until then, never below 0; a day when nothing ends the wait."""
    return 86_400.0 if until is None else max(0.0, until - time.monotonic())
