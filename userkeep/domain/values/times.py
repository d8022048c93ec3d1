"""Points in time: UTC, in whole microseconds since 1970.

Internally a time is an integer (`Instant`), which is fast to compare and to read from SQLite. In
the APIs it is a `datetime` or RFC 3339 text. The name of every field, column and parameter with an
Instant ends in `_at`: the storage codecs rely on it.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR

MAX_CLOCK_ERROR_US = HOUR
"""A time that is further ahead than this, or than what was added to it, is one of a clock that was
wrong. It is not waited for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: Instant) -> datetime:
    """Return an instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(0, 0, instant)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of a datetime, which is in UTC if it has no time zone."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return Instant((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


def year_of(year: int) -> Instant:
    """Return the begin of a year."""
    return from_datetime(datetime(year, 1, 1, tzinfo=UTC))


EARLIEST = from_datetime(datetime.min)
LATEST = from_datetime(datetime.max)


@lru_cache(maxsize=8192)
def rfc3339_text(instant: Instant) -> str:
    """Return RFC 3339 text with `Z` and without trailing zeros: `2026-11-22T11:22:02.57675Z`.

    Texts are cached, because formatting a time takes as long as reading its row, and the same rows
    are read again and again.
    """
    text = to_datetime(instant).isoformat().removesuffix("+00:00")
    return f"{text.rstrip('0')}Z" if "." in text else f"{text}Z"
