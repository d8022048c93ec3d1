"""Identifiers: the app's ids, and the uuids that the server generates."""

import re
import secrets

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.times import Instant

MAX_ID_LENGTH = 512

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def check_id(value: str, field: str) -> str:
    """Check an id: up to 512 characters, without control characters.

    `.` and `..` are rejected, because they cannot be a segment of a URL's path.

    Raises:
        InvalidField: naming `field`.
    """
    if not value:
        raise InvalidField(f"{field} cannot be empty.", field)
    if len(value) > MAX_ID_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_ID_LENGTH} characters.", field)
    if value in {".", ".."}:
        raise InvalidField(f"{field} cannot be {value!r}, which a URL cannot contain.", field)
    if _CONTROL.search(value):
        raise InvalidField(f"{field} contains a control character or half a surrogate pair.", field)
    return value


def is_uuid(value: str) -> bool:
    """Whether a text is a uuid in the usual form with hyphens, in upper or lower case."""
    return _UUID.fullmatch(value.lower()) is not None


def check_uuid(value: str, field: str) -> str:
    """Return a uuid in its canonical form: in lower case, with hyphens.

    Raises:
        InvalidField: naming `field`.
    """
    if not is_uuid(value):
        raise InvalidField(
            f"{field} must be a uuid such as 75c40217-9af1-407d-b9a6-367069d29dd5.", field
        )
    return value.lower()


def new_uuid7(now: Instant) -> str:
    """Return a new uuid of version 7 (RFC 9562): the time in milliseconds, then 74 random bits."""
    milliseconds = now // 1000
    random = secrets.randbits(74)
    number = (
        milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & ((1 << 62) - 1)
    )
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
