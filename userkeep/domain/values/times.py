"""Points in time: UTC, in whole microseconds since 1970.

Inside, a time is an integer (`Instant`): it compares, sorts and adds without surprises and costs
nothing to read from SQLite. At the edges it is a `datetime` or RFC 3339 text. By convention, and
the storage codecs rely on it, the name of every field, column and parameter that holds an Instant
ends in `_at`.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(instant: Instant) -> datetime:
    """The instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(0, 0, instant)


def from_datetime(moment: datetime) -> Instant:
    """The instant of a datetime; one without a zone is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return Instant((since.days * 86_400 + since.seconds) * SECOND + since.microseconds)


EARLIEST = from_datetime(datetime.min)
LATEST = from_datetime(datetime.max)


@lru_cache(maxsize=8192)
def rfc3339_text(instant: Instant) -> str:
    """RFC 3339 with `Z` and no trailing zeros: `2026-11-22T11:22:02.57675Z`.

    The newest texts are kept, because what is read is mostly read again, and the messages of one
    append share their time: writing one takes as long as reading its row.
    """
    text = to_datetime(instant).isoformat().removesuffix("+00:00")
    return f"{text.rstrip('0')}Z" if "." in text else f"{text}Z"
