"""The clock of an engine's writers."""

import logging
import threading
from time import time_ns

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, Instant, rfc3339_text, year_of

logger = logging.getLogger(__name__)

# Python's clock counts nanoseconds in 64 bits, which end in 2262.
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 2262
_EARLIEST, _LATEST = year_of(_EARLIEST_YEAR), year_of(_LATEST_YEAR)


def check_system_clock() -> None:
    """Check that the system clock can be used.

    Raises:
        StorageError: it is in a year in which no time can be stored.
    """
    try:
        system_time()
    except Unavailable as error:
        raise StorageError(error.detail) from error


def system_time() -> Instant:
    """Return the time of the system clock.

    Raises:
        Unavailable: it is in a year in which no time can be stored.
    """
    try:
        now = Instant(time_ns() // 1000)
    except OverflowError:
        now = _LATEST
    if not _EARLIEST <= now < _LATEST:
        raise Unavailable(
            "The system clock of this machine is wrong: it is not between the years "
            f"{_EARLIEST_YEAR} and {_LATEST_YEAR}. Set it; nothing was changed."
        )
    return now


class Clock:
    """A strictly increasing clock: the current time, or the last time + 1 µs if that is later.

    If the last time is more than an hour ahead, a clock was wrong, and this one follows the current
    time back: otherwise it would stand still until then, perhaps for years, and nothing that waits
    for a time would happen.
    """

    def __init__(self, last: Instant) -> None:
        self._last = last
        self._lock = threading.Lock()

    @property
    def last(self) -> Instant:
        """The time of the last operation."""
        return self._last

    def tick(self) -> Instant:
        """Return the time of the next operation.

        Raises:
            Unavailable: the system clock is in a year in which no time can be stored.
        """
        with self._lock:
            now = system_time()
            if self._last - now > MAX_CLOCK_ERROR_US:
                self._step_back(now)
            else:
                self._last = Instant(max(now, self._last + 1))
            return self._last

    def _step_back(self, now: Instant) -> None:
        logger.warning(
            "The system clock was wrong, or is: it says %s, and the last change of the database "
            "was at %s. Changes have the time of the system clock from now on.",
            rfc3339_text(now),
            rfc3339_text(self._last) if _EARLIEST <= self._last < _LATEST else self._last,
        )
        self._last = now


def latest_credible(now: Instant) -> str:
    """Return the time, as text, after which a saved time is one of a clock that was wrong."""
    return str(now + MAX_CLOCK_ERROR_US)
