"""Durations as people write them: "90s", "15m", "24h", "7d"."""

import re
from datetime import timedelta

from stackproof.errors import RefusedInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str | timedelta) -> timedelta:
    """A positive duration. Raises `RefusedInput`."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text)
    if match is None or float(match[1]) == 0:
        raise RefusedInput("A duration is malformed", got=repr(text), allowed='such as "90s", "15m", "24h", "7d"')
    return timedelta(**{_UNITS[match[2]]: float(match[1])})
