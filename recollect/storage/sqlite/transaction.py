"""One transaction on a SQLite connection. See domain.transaction for the contract.

SQLite stores what the domain speaks (integers, texts and None), so there is nothing to convert.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from time import perf_counter
from typing import Any, TypeVar

import apsw

from recollect.domain.ids import new_uuid7
from recollect.domain.times import Instant
from recollect.storage.queries import Query

T = TypeVar("T")


class SqliteTransaction:
    """The queries of one operation, on one cursor."""

    __slots__ = ("_began", "_cursor", "_queries", "now")

    def __init__(self, cursor: apsw.Cursor, queries: Mapping[str, Query], now: Instant) -> None:
        self._cursor = cursor
        self._queries = queries
        self._began = perf_counter()
        self.now = now

    def new_uuid(self) -> str:
        """See domain.transaction.Transaction."""
        return new_uuid7(self.now)

    def spent_ms(self) -> float:
        """See domain.transaction.Transaction."""
        return (perf_counter() - self._began) * 1000

    def one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """See domain.transaction.Transaction."""
        # All rows are taken, because a statement that is left half-way has not counted its changes.
        rows = self._cursor.execute(self._queries[query].text(values), values).fetchall()
        return kind(*rows[0]) if rows else None

    def all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """See domain.transaction.Transaction."""
        rows = self._cursor.execute(self._queries[query].text(values), values)
        return list(starmap(kind, rows))

    def run(self, query: str, /, **values: Any) -> int:
        """See domain.transaction.Transaction."""
        self._cursor.execute(self._queries[query].text(values), values)
        return self._cursor.connection.changes()

    def tell(self, query: str, /, **values: Any) -> None:
        """See domain.transaction.Transaction: nothing is nearer than SQLite."""
        self._cursor.execute(self._queries[query].text(values), values)

    def tell_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """See domain.transaction.Transaction."""
        self._cursor.executemany(self._queries[query].text({}), rows)

    def run_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """See domain.transaction.Transaction."""
        connection = self._cursor.connection
        before = connection.total_changes()
        self._cursor.executemany(self._queries[query].text({}), rows)
        return connection.total_changes() - before
