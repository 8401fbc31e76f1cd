"""Identifiers that say their kind and grow with time."""

import os
import threading
from base64 import b32hexencode
from collections.abc import Callable
from datetime import UTC, datetime

_CROCKFORD = bytes.maketrans(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")
_RANDOM_BYTES = 10


class _Sequence:
    """ULIDs of which each is greater than the one before, as long as the time does not fall."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = -1
        self._random = 0

    def next(self, ms: int, random: Callable[[int], bytes], *, never_back: bool) -> int:
        with self._lock:
            if ms == self._ms or (never_back and ms < self._ms):
                self._random += 1
            else:
                self._ms = ms
                # The top bit starts clear, so that counting up within a millisecond never overflows.
                self._random = int.from_bytes(random(_RANDOM_BYTES)) & ~(1 << 79)
            return (self._ms << 80) | self._random


_BY_CLOCK = _Sequence()
_BY_CALLER = _Sequence()


def new_id(
    kind: str,
    *,
    now: datetime | None = None,
    random: Callable[[int], bytes] = os.urandom,
) -> str:
    """`kind`, ":", and a ULID: 26 characters of Crockford's base 32, 48 bits of UTC milliseconds first.

    Without `now` each is greater than every one made before in this process, even when the clock
    goes back. With `now` that instant is kept, and those of one millisecond grow.
    """
    sequence = _BY_CLOCK if now is None else _BY_CALLER
    instant = datetime.now(UTC) if now is None else now
    number = sequence.next(int(instant.timestamp() * 1000), random, never_back=now is None)
    return f"{kind}:{_base32(number)}"


def _base32(number: int) -> str:
    return b32hexencode(number.to_bytes(20))[-26:].translate(_CROCKFORD).decode("ascii")
