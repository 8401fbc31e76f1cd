"""Instants as integers: microseconds since 1970 in UTC, so that they compare, index and come back exact."""

from datetime import UTC, datetime, timedelta

from stackproof.errors import RefusedInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Raises `RefusedInput` for a datetime without a time zone."""
    if instant.tzinfo is None:
        raise RefusedInput(
            "A time has no time zone",
            got=instant.isoformat(),
            allowed="an aware datetime, such as datetime.now(UTC)",
        )
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The instant, in UTC."""
    return _EPOCH + us * _MICROSECOND
