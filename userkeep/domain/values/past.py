"""Times that a client gives for what happened before, such as the creation of an imported user."""

from datetime import datetime
from typing import Annotated

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.times import (
    EARLIEST,
    LATEST,
    MAX_CLOCK_ERROR_US,
    TIME_SCHEMA,
    GivenTime,
    Instant,
    from_datetime,
)

PastTime = Annotated[
    GivenTime,
    msgspec.Meta(
        description="For imported history. UTC unless it has an offset.",
        extra_json_schema=TIME_SCHEMA,
    ),
]


def check_past(moment: datetime, field: str, now: Instant) -> Instant:
    """Return a time, which must be between the years 1 and 9999 in UTC, and not in the future.

    The clock of the client may be an hour fast.

    Raises:
        InvalidField: naming `field`.
    """
    instant = from_datetime(moment)
    if not EARLIEST <= instant <= LATEST:
        raise InvalidField(f"{field} must be between the years 1 and 9999 in UTC.", field)
    if instant > now + MAX_CLOCK_ERROR_US:
        raise InvalidField(f"{field} is in the future: {moment.isoformat()}.", field)
    return instant
