"""Numbers as a reader wants them: rounded, with units, and round marks for axes."""

import math
import re
from datetime import datetime

_NBSP = "\u00a0"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SMALLEST_PLAIN, _LARGEST_PLAIN = 0.001, 1e5
_MOST_DECIMALS = 4
_DIGEST = re.compile(r"\b((?:sha256:)?[0-9a-f]{12})[0-9a-f]{52}\b")


def seconds(value: float) -> str:
    """0.4 s, 12.0 s, 1 min 5 s."""
    if value < 59.95:
        return f"{value:.1f}{_NBSP}s"
    whole = round(value)
    return f"{whole // 60}{_NBSP}min {whole % 60}{_NBSP}s"


def percent(value: float) -> str:
    """0.9 is 90 %; shares below 10 % keep one decimal where it is not 0."""
    if not math.isfinite(value):
        return "–"
    text = f"{100 * value:.{0 if value >= 0.0995 else 1}f}"
    return f"{text.removesuffix('.0')}{_NBSP}%"


def thousands(value: int) -> str:
    """336,776."""
    return f"{value:,}"


def tiny(value: float) -> str:
    """A probability that may be very small: 0.02, 3 × 10⁻¹⁵; 0 is below the smallest number that there is."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "< 10⁻³⁰⁰"
    if abs(value) >= _SMALLEST_PLAIN:
        return f"{value:.2g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    power = str(int(exponent)).translate(_SUPERSCRIPT)
    return f"10{power}" if mantissa == "1" else f"{mantissa}{_NBSP}×{_NBSP}10{power}"


def figure(value: float | None, digits: int = 3) -> str:
    """A metric with a fixed number of decimals; an unknown one is a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def instant(value: datetime) -> str:
    """21 November 2026, 14:05 UTC (or the offset that the instant has)."""
    zone = value.strftime("%Z") or ""
    return f"{value.day} {value.strftime('%B %Y, %H:%M')} {zone}".rstrip()


def short_id(identifier: str, room: int = 16) -> str:
    """What stands after the kind, its middle cut out when it is longer than `room` characters."""
    rest = identifier.partition(":")[2] or identifier
    if len(rest) <= room:
        return rest
    tail = (room - 1) // 2
    return f"{rest[: room - 1 - tail]}…{rest[-tail:]}"


def readable(text: str) -> str:
    """The text with arrows as arrows, and with long digests cut to the 12 digits that identifiers have."""
    return _DIGEST.sub(r"\1…", text).replace(" -> ", " → ")


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round marks (steps of 1, 2 or 5 times a power of ten) inside low..high, about `wanted` of them."""
    step = nice_step((high - low) / max(wanted, 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{mark * step:.12g}") for mark in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `rough`. 1 when that is not positive."""
    if not (rough > 0 and math.isfinite(rough)):
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def tick_label(value: float, step: float) -> str:
    """The value with as many decimals as the step has; in powers of ten where that would be long."""
    if value == 0:
        return "0"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.2g}" if digits > _MOST_DECIMALS or abs(value) >= _LARGEST_PLAIN else f"{value:,.{digits}f}"
