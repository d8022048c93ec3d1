"""All connections of a server: how many there may be, and which ones make no progress.

One periodic check looks at all connections. A timer for each request would cost every request.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from userkeep.http.cors import AllowedOrigins
from userkeep.http.limits import Limits

logger = logging.getLogger(__name__)

_MAX_SURPLUS = 64
_LOG_INTERVAL_S = 60.0


class Connection(Protocol):
    """One connection, as the check sees it."""

    active_at: float
    """When its state changed last, by `Connections.now`."""

    @property
    def is_idle(self) -> bool:
        """Whether it is open without a request and without an unread response."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read of responses, without what the system buffers."""
        ...

    def check(self, now: float) -> None:
        """End the connection if it makes no progress."""
        ...

    def close(self) -> None:
        """Close the connection once everything is sent."""
        ...

    def abort(self) -> None:
        """Close the connection immediately."""
        ...


class Connections:
    """The open connections of a server.

    Attributes:
        limits: see Limits.
        origins: whose web pages may read errors, if any may.
        rejected: how many requests were rejected because they were not valid HTTP, too slow, too
            large or on a connection too many, by status.
        now: the time of the last check, or of the last new connection if that was later. Seconds
            are exact enough, and an attribute costs less than a clock.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = monotonic,
        *,
        origins: AllowedOrigins | None = None,
    ) -> None:
        self.limits = limits
        self.origins = origins
        self.now = clock()
        self._clock = clock
        self._open: set[Connection] = set()
        self._surplus: set[Connection] = set()
        self.rejected: dict[int, int] = {}
        self._logged_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        """Add a new connection; return whether it may send requests.

        If there are too many, the one that has been idle for the longest time is closed. If none
        is idle, the new one gets a response that says so, as long as there are few of such.
        """
        self.now = self._clock()
        if self._timer is None:
            self._timer = loop.call_later(self.limits.check_every_s, self._check_all, loop)
        if len(self._open) < self.limits.connections or self._close_idle():
            self._open.add(connection)
            return True
        self._log_surplus()
        if len(self._surplus) < _MAX_SURPLUS:
            self._surplus.add(connection)
        else:
            connection.close()
        return False

    @property
    def open(self) -> int:
        """How many are open."""
        return len(self._open)

    def count_rejected(self, status: int) -> None:
        """Count a request that was rejected before it had a route."""
        self.rejected[status] = self.rejected.get(status, 0) + 1

    def remove(self, connection: Connection) -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)
        self._surplus.discard(connection)

    def abort_unsent(self) -> None:
        """Close the connections of clients that do not read, so that a stop need not wait."""
        for connection in [each for each in self._open if each.unsent_bytes]:
            connection.abort()

    def _close_idle(self) -> bool:
        idle = [each for each in self._open if each.is_idle]
        if not idle:
            return False
        longest = min(idle, key=lambda each: each.active_at)
        self._open.discard(longest)
        longest.close()
        return True

    def _check_all(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = self._clock()
        self._timer = None
        if not self._open and not self._surplus:
            return  # the next connection starts the timer
        self._timer = loop.call_later(self.limits.check_every_s, self._check_all, loop)
        for connection in [*self._open, *self._surplus]:
            try:
                connection.check(self.now)
            except Exception:
                logger.exception("the check of a connection failed")
                connection.abort()
        self._limit_unsent()

    def _limit_unsent(self) -> None:
        """Close connections with unread responses while these need too much memory."""
        unread = [each for each in self._open if each.unsent_bytes]
        total = sum(each.unsent_bytes for each in unread)
        for connection in sorted(unread, key=lambda each: each.active_at):
            if total <= self.limits.waiting_bytes:
                return
            total -= connection.unsent_bytes
            connection.abort()

    def _log_surplus(self) -> None:
        if self.now > self._logged_at + _LOG_INTERVAL_S:
            self._logged_at = self.now
            logger.warning(
                "rejecting connections: %s are open, the maximum (USERKEEP_MAX_CONNECTIONS)",
                f"{len(self._open):,}",
            )
