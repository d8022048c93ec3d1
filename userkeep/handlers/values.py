"""Values of requests and responses: stored JSON, and times that may be absent."""

from datetime import datetime
from typing import Any

import msgspec

from userkeep.domain.values.times import SECOND, Instant, from_datetime, time_text, to_datetime


def raw_json(stored: str | None) -> Any:
    """Return stored JSON text so that it is sent as it is, without parsing it."""
    return None if stored is None else msgspec.Raw(stored)


def time_to_send(instant: Instant) -> Any:
    """Return an instant so that it is sent with six digits after the point.

    msgspec writes a datetime of a whole second without them.
    """
    return to_datetime(instant) if instant % SECOND else msgspec.Raw(f'"{time_text(instant)}"')


def optional_time(instant: Instant | None) -> Any:
    """Return an instant that may be absent so that it is sent with six digits."""
    return None if instant is None else time_to_send(instant)


def optional_instant(moment: datetime | None) -> Instant | None:
    """Return a datetime as an instant."""
    return None if moment is None else from_datetime(moment)
