"""Values of requests and responses: stored JSON, and times that may be absent."""

from datetime import datetime
from typing import Any

import msgspec

from userkeep.domain.values.times import Instant, from_datetime, to_datetime


def raw_json(stored: str | None) -> Any:
    """Return stored JSON text so that it is sent as it is, without parsing it."""
    return None if stored is None else msgspec.Raw(stored)


def optional_datetime(instant: Instant | None) -> datetime | None:
    """Return an instant as a datetime."""
    return None if instant is None else to_datetime(instant)


def optional_instant(moment: datetime | None) -> Instant | None:
    """Return a datetime as an instant."""
    return None if moment is None else from_datetime(moment)
