"""How often a client may do something: requests of a key, and failed attempts of an address."""

import asyncio
import logging
from collections import OrderedDict
from math import ceil
from time import monotonic

from userkeep.domain.errors import RateLimited
from userkeep.domain.values.counts import pluralize

logger = logging.getLogger(__name__)

_MAX_CLIENTS = 20_000
_MINUTE_S = 60.0

FREE_ATTEMPTS = 5
"""So many failed attempts in a minute are answered at once."""

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 1.0
_MAX_WAITING = 8


class RateLimit:
    """A limit of the requests of each client: so many a minute, and so many at once (a bucket).

    It counts in the memory of this process: several servers admit as many each.

    Args:
        per_minute: how many requests a client may send in a minute.

    Attributes:
        rejected: how many requests were too many.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._per_s = per_minute / _MINUTE_S
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.rejected = 0

    def take(self, client: str) -> None:
        """Count a request.

        Raises:
            RateLimited: the client has sent too many; it says when to retry.
        """
        now_s = monotonic()
        left, at_s = self._buckets.get(client, (float(self._per_minute), now_s))
        left = min(left + (now_s - at_s) * self._per_s, self._per_minute)
        if left < 1:
            self.rejected += 1
            error = RateLimited(
                f"Your key may send {pluralize(self._per_minute, 'request')} a minute. Retry later."
            )
            error.retry_after_s = int((1 - left) / self._per_s) + 1
            raise error
        self._buckets[client] = (left - 1, now_s)
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)


class _Attempts:
    """The failed attempts of an address."""

    __slots__ = ("began_s", "failed", "waiting")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.failed = 0
        self.waiting = 0


class FailedAttempts:
    """Slows the failed attempts to authenticate of each address.

    Only the response to a failed attempt is delayed or rejected, once the credential was looked up.
    So a client with a valid key is never slowed by another one with the same address, as behind a
    proxy.

    Attributes:
        total: how many attempts have failed.
        rejected: how many of them were rejected because others were waiting.
    """

    def __init__(self) -> None:
        self.total = 0
        self.rejected = 0
        self._addresses: OrderedDict[str, _Attempts] = OrderedDict()

    async def failed(self, address: str) -> None:
        """Count a failed attempt; wait as long as its response is to be delayed.

        Raises:
            RateLimited: too many are waiting.
        """
        self.total += 1
        attempts = self._of(address)
        attempts.failed += 1
        if attempts.failed in {1, FREE_ATTEMPTS + 1}:
            logger.warning(
                "rejected a credential from %s: attempt %s within a minute",
                address or "an unknown address",
                attempts.failed,
            )
        further = attempts.failed - FREE_ATTEMPTS - 1
        if further < 0:
            return
        if attempts.waiting >= _MAX_WAITING:
            self.rejected += 1
            error = RateLimited("Too many failed attempts to authenticate. Retry later.")
            error.retry_after_s = ceil(_MAX_DELAY_S)
            raise error
        attempts.waiting += 1
        try:
            await asyncio.sleep(min(_FIRST_DELAY_S * 2.0 ** min(further, 10), _MAX_DELAY_S))
        finally:
            attempts.waiting -= 1

    def _of(self, address: str) -> _Attempts:
        now_s = monotonic()
        attempts = self._addresses.get(address)
        if attempts is None:
            attempts = self._addresses[address] = _Attempts(now_s)
        elif now_s - attempts.began_s > _MINUTE_S:
            attempts.began_s, attempts.failed = now_s, 0
        self._addresses.move_to_end(address)
        if len(self._addresses) > _MAX_CLIENTS:
            self._addresses.popitem(last=False)
        return attempts
