"""A purge: writing the files anew, so that what was deleted is no longer in them.

It costs a copy of the whole database, during which nobody writes. So several erasures share one,
and it waits for a good moment: see `is_due`.
"""

import re
from typing import NamedTuple

import msgspec

from userkeep.domain.values.times import Instant, to_datetime

IDLE_S = 10.0
"""After so long without a request nobody minds."""

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_DAY_MINUTES = 24 * 60


class SkippedStep(msgspec.Struct):
    """A step that a purge could not do, and the reason, as a sentence for an operator."""

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
    """A time of the day, UTC, in minutes since midnight; it may go past midnight."""

    begins: int
    ends: int

    def holds(self, instant: Instant) -> bool:
        """Whether it is that time of the day."""
        moment = to_datetime(instant)
        minute = moment.hour * 60 + moment.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


def read_window(text: str) -> Window | None:
    """A window as it is set, such as `01:00-05:00`; None where the text is none."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        return None
    begins = int(match[1]) * 60 + int(match[2])
    ends = int(match[3]) * 60 + int(match[4])
    is_window = begins != ends and ends <= _DAY_MINUTES
    return Window(begins, ends) if is_window else None


class Schedule(msgspec.Struct, frozen=True):
    """When an instance purges.

    Attributes:
        within_us: how long an erasure waits for its purge at most, in a database that is not large.
        large_bytes: from this size on a purge takes so long that it waits for the window.
        window: the time of the day for a large database.
        idle_s: a server without requests for this long purges what is not yet due.
    """

    within_us: int
    large_bytes: int
    window: Window
    idle_s: float = IDLE_S

    def is_due(self, oldest_at: Instant, now: Instant, size_bytes: int, idle_s: float) -> bool:
        """Whether to purge now what has waited since a time.

        Args:
            idle_s: for how long nobody has asked this server for anything.
        """
        if size_bytes >= self.large_bytes:
            return self.window.holds(now)
        return idle_s >= self.idle_s or now >= oldest_at + self.within_us
