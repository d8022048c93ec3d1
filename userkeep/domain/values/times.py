"""Points in time: UTC, in whole microseconds since 1970.

Internally a time is an integer (`Instant`), which is fast to compare and to read from SQLite. In
the APIs it is a `datetime` or RFC 3339 text. The name of every field, column and parameter with an
Instant ends in `_at`: the storage codecs rely on it.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NewType

import msgspec

from userkeep.domain.errors import InvalidField

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


class _IsDatetime(type):
    """The type of a type of which every datetime is an instance."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


# msgspec would read a datetime itself: a number as seconds since 1970, and no date. For a type that
# it does not know, it calls a hook: `decode_time`.
if TYPE_CHECKING:
    GivenTime = datetime
else:
    GivenTime = _IsDatetime("datetime", (), {})
"""A time in a request: an RFC 3339 text, or a date, which is its beginning in UTC."""

TIME_SCHEMA = {"type": "string", "format": "date-time"}
"""The JSON schema of a time in a request. A date is accepted too."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", re.ASCII)
_SPACE_FOR_PLUS = re.compile(r".+:\d\d(?:\.\d+)? \d\d:?\d\d", re.ASCII)
_LONGEST_SHOWN = 100


def decode_time(kind: type, value: Any) -> datetime:
    """Return a value of a request as a time: the hook of each msgspec decoder of requests.

    Raises:
        ValueError: it is not a time. msgspec reports it with its path.
        NotImplementedError: another type is to be decoded.
    """
    if kind is not GivenTime:
        raise NotImplementedError(f"{kind.__name__} has no decoder")
    return parse_time(value)


def parse_time(value: Any) -> datetime:
    """Return a text such as `2026-11-22T11:30:00Z`, `2026-11-22T11:30` or `2026-11-22` as a time.

    A time without an offset is naive. A date is aware: its beginning in UTC.

    Raises:
        ValueError: with a sentence without its subject: "must be …".
    """
    text = value if isinstance(value, str) else ""
    if _DATE.fullmatch(text):
        text += "T00:00:00Z"
    elif _MINUTE.fullmatch(text):
        text += ":00"
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ValueError(_not_a_time(value)) from None


def _not_a_time(value: Any) -> str:
    must_be = "must be a date or a time, such as 2026-11-22 or 2026-11-22T11:30:00Z"
    if not isinstance(value, str):
        return f"{must_be}, as a text"
    shown = repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    advice = ". In an address, write the + of its offset as %2B"
    return f"{must_be}; got {shown}{advice if _SPACE_FOR_PLUS.fullmatch(value) else ''}"


def check_aware(value: Any, field: str) -> None:
    """Check that a datetime of a program has a time zone; other values are not checked.

    Raises:
        InvalidField: it has none.
    """
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise InvalidField(
            f"{field} has no time zone, so it could mean UTC or the local time. Add one, such as "
            "datetime.now(UTC), or datetime(…, tzinfo=UTC).",
            field,
        )


def time_text(instant: Instant) -> str:
    """Return RFC 3339 text with `Z` and six digits: `2026-11-22T11:22:02.576750Z`."""
    text = to_datetime(instant).isoformat(timespec="microseconds")
    return f"{text.removesuffix('+00:00')}Z"


@lru_cache(maxsize=8192)
def rfc3339_text(instant: Instant) -> str:
    """Return RFC 3339 text with `Z` and without trailing zeros: `2026-11-22T11:22:02.57675Z`.

    Texts are cached, because formatting a time takes as long as reading its row, and the same rows
    are read again and again.
    """
    text = to_datetime(instant).isoformat().removesuffix("+00:00")
    return f"{text.rstrip('0')}Z" if "." in text else f"{text}Z"
