"""What the transactions of both engines have in common."""

from collections.abc import Mapping
from time import perf_counter

from userkeep.domain.ids import new_uuid7
from userkeep.domain.times import Instant
from userkeep.storage.queries import Query


class TimedTransaction:
    """The queries, the clock and the uuids of one operation."""

    __slots__ = ("_began", "_queries", "now")

    def __init__(self, queries: Mapping[str, Query], now: Instant) -> None:
        self._queries = queries
        self._began = perf_counter()
        self.now = now

    def new_uuid(self) -> str:
        """See domain.transaction.Transaction."""
        return new_uuid7(self.now)

    def spent_ms(self) -> float:
        """See domain.transaction.Transaction."""
        return (perf_counter() - self._began) * 1000
