"""One transaction on a SQLite connection. See domain.transaction for the contract.

SQLite stores what the domain speaks (integers, texts and None), so there is nothing to convert.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from typing import Any, TypeVar

import apsw

from recollect.domain.times import Instant
from recollect.storage.queries import Query
from recollect.storage.transaction import TimedTransaction

T = TypeVar("T")


class SqliteTransaction(TimedTransaction):
    """The queries of one operation, on one cursor."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: apsw.Cursor, queries: Mapping[str, Query], now: Instant) -> None:
        self._cursor = cursor
        super().__init__(queries, now)

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
