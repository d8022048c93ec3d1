"""The time limit of an operation, for what a database cannot interrupt: our own computation."""

from math import inf
from time import monotonic

from userkeep.domain.errors import Unavailable

TIME_LIMIT = (
    "This took longer than {} s and was stopped. Use conditions that match less, or request fewer "
    "rows."
)
DISCONNECTED = "The client disconnected."


class Deadline:
    """Ends work when its time is up, or when its client has disconnected.

    An engine interrupts its statements when it is over; loops in Python call `check`.

    Args:
        limit_s: the time limit from now on, in seconds; None for no limit.
    """

    __slots__ = ("_ends_at_s", "_is_cancelled", "_limit_s")

    def __init__(self, limit_s: float | None = None) -> None:
        self._limit_s = limit_s
        self._ends_at_s = None if limit_s is None else monotonic() + limit_s
        self._is_cancelled = False

    @property
    def is_over(self) -> bool:
        """Whether the work must end."""
        if self._is_cancelled:
            return True
        return self._ends_at_s is not None and monotonic() > self._ends_at_s

    @property
    def left_s(self) -> float:
        """How many seconds are left: negative if it is over, infinite without a limit."""
        return inf if self._ends_at_s is None else self._ends_at_s - monotonic()

    def restart(self, limit_s: float) -> None:
        """Begin a new time limit: the work has waited for its turn until now."""
        self._limit_s = limit_s
        self._ends_at_s = monotonic() + limit_s

    def cancel(self) -> None:
        """End the work soon, because its result is of no use; from any thread."""
        self._is_cancelled = True
        self._ends_at_s = monotonic()

    def error(self) -> Unavailable:
        """Return the error for work that was ended."""
        if self._is_cancelled:
            return Unavailable(DISCONNECTED)
        return Unavailable(TIME_LIMIT.format(f"{self._limit_s:g}"))

    def check(self) -> None:
        """Go on, unless the work must end.

        Raises:
            Unavailable: the time is up, or the client has disconnected.
        """
        if self.is_over:
            raise self.error()
