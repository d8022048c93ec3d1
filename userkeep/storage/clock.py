"""The clock of an engine's writers."""

import threading
from time import time_ns

from userkeep.domain.values.times import Instant


class Clock:
    """A strictly increasing clock: the current time, or the last time + 1 µs if that is later."""

    def __init__(self, last: Instant) -> None:
        self._last = last
        self._lock = threading.Lock()

    @property
    def last(self) -> Instant:
        """The time of the last operation."""
        return self._last

    def tick(self) -> Instant:
        """Return the time of the next operation."""
        with self._lock:
            self._last = Instant(max(time_ns() // 1000, self._last + 1))
            return self._last
