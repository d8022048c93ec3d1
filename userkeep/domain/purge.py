"""A purge: rewrite the database files, so that deleted data is no longer in them.

It costs a copy of the whole database, during which there are no writes. So several erasures share a
purge, and it waits for a good moment: see `Schedule.is_due`.
"""

import re
from typing import NamedTuple

import msgspec

from userkeep.domain.values.times import DAY, MAX_CLOCK_ERROR_US, Instant, to_datetime

IDLE_S = 10.0
"""A server without requests for this long may be purged early."""

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_DAY_MINUTES = 24 * 60


class SkippedStep(msgspec.Struct):
    """A step that a purge could not do, and the reason, as a sentence for the operator."""

    step: str
    reason: str


class PurgeStatus(msgspec.Struct):
    """The progress of the running purge; it is stored with the instance.

    Attributes:
        purge_uuid: the id of the purge.
        phase: what it does now, in words.
        problem: what blocks it; it is retried automatically.
    """

    purge_uuid: str
    phase: str
    problem: str | None = None


class Window(NamedTuple):
    """A time window of each day, in minutes since midnight UTC; it may include midnight."""

    begins: int
    ends: int

    def contains(self, instant: Instant) -> bool:
        """Whether a time is in the window."""
        moment = to_datetime(instant)
        minute = moment.hour * 60 + moment.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


def parse_window(text: str) -> Window | None:
    """Parse a window such as `01:00-05:00`; return None if the text is not one."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        return None
    begins = int(match[1]) * 60 + int(match[2])
    ends = int(match[3]) * 60 + int(match[4])
    is_window = begins != ends and ends <= _DAY_MINUTES
    return Window(begins, ends) if is_window else None


class Schedule(msgspec.Struct, frozen=True):
    """When an instance is purged.

    Attributes:
        within_us: how long an erasure waits for its purge at most, if the database is not large.
        large_bytes: the size from which a database is large, and is purged in the window only.
        window: the time of the day for large databases.
        idle_s: a server without requests for this long purges what is not yet due.
    """

    within_us: int
    large_bytes: int
    window: Window
    idle_s: float = IDLE_S

    def latest_us(self, size_bytes: int) -> int:
        """Return how long an erasure waits at most until its purge begins.

        Args:
            size_bytes: the size of the database; a large one waits for the window of each day.
        """
        return max(self.within_us, DAY) if size_bytes >= self.large_bytes else self.within_us

    def is_due(self, oldest_at: Instant, now: Instant, size_bytes: int, idle_s: float) -> bool:
        """Whether to purge now.

        Args:
            oldest_at: since when the oldest erasure or edit waits for a purge.
            now: the time.
            size_bytes: the size of the database.
            idle_s: how long this server has had no requests.
        """
        if size_bytes >= self.large_bytes:
            return self.window.contains(now)
        # A clock that was wrong may have dated it years ahead.
        is_overdue = now >= oldest_at + self.within_us or oldest_at > now + MAX_CLOCK_ERROR_US
        return idle_s >= self.idle_s or is_overdue
