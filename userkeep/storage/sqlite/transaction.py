"""One transaction on a SQLite connection. See domain.transaction for the contract.

SQLite stores what the domain speaks (integers, texts and None), so there is nothing to convert.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from operator import itemgetter
from typing import Any, TypeVar

import apsw

from userkeep.domain.scope import Scope
from userkeep.domain.values.times import Instant
from userkeep.storage.filters import with_filter
from userkeep.storage.queries import Query
from userkeep.storage.sqlite.filters import SqliteFilterPrinter
from userkeep.storage.sqlite.search_index import SqliteSearchIndex
from userkeep.storage.transaction import BaseTransaction

T = TypeVar("T")


class AtEnd(list[tuple[int, str, Iterable[Mapping[str, Any]]]]):
    """What is left for the end of a transaction: order, text and rows.

    FTS5 keeps what comes in ascending order of its rows together, and begins a piece of its own
    (three times the cost) whenever the order breaks.
    """

    def flush(self, cursor: apsw.Cursor) -> None:
        """Do it."""
        for _sort_key, text, rows in sorted(self, key=itemgetter(0)):
            cursor.executemany(text, rows)
        self.clear()


class SqliteTransaction(BaseTransaction):
    """The queries of one operation, on one cursor."""

    __slots__ = ("_at_end", "_cursor")

    def __init__(
        self,
        cursor: apsw.Cursor,
        queries: Mapping[str, Query],
        now: Instant,
        at_end: AtEnd | None = None,
        scope: Scope | None = None,
    ) -> None:
        self._cursor = cursor
        self._at_end = AtEnd() if at_end is None else at_end
        super().__init__(queries, now, scope)

    @property
    def search_index(self) -> SqliteSearchIndex:
        """The full-text index, in this transaction."""
        return SqliteSearchIndex(self)

    def in_scope(self, scope: Scope) -> "SqliteTransaction":
        """Return this transaction, bound to a scope."""
        self._check_scope(scope)
        return SqliteTransaction(self._cursor, self._queries, self.now, self._at_end, scope)

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """See domain.transaction.Transaction."""
        # All rows are taken, because a statement that is left half-way has not counted its changes.
        rows = self._execute(query, values).fetchall()
        return kind(*rows[0]) if rows else None

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """See domain.transaction.Transaction."""
        return list(starmap(kind, self._execute(query, values)))

    def execute(self, query: str, /, **values: Any) -> int:
        """See domain.transaction.Transaction."""
        self._execute(query, values)
        return self._cursor.connection.changes()

    def defer(self, query: str, /, **values: Any) -> None:
        """See domain.transaction.Transaction: nothing is nearer than SQLite."""
        self._execute(query, values)

    def defer_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """See domain.transaction.Transaction."""
        self._cursor.executemany(self._queries[query].text({}), self._in_project(rows))

    def defer_to_commit(
        self, query: str, rows: Iterable[Mapping[str, Any]], /, *, sort_key: int
    ) -> None:
        """Run a statement once per row of values at the end of the transaction, or at `flush`.

        Operations that share the transaction do it in the order of their sort keys. No other
        statement of the transaction may depend on it.
        """
        self._at_end.append((sort_key, self._queries[query].text({}), self._in_project(rows)))

    def flush(self) -> None:
        """Run now what any operation has left for the end of the transaction."""
        self._at_end.flush(self._cursor)

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """See domain.transaction.Transaction."""
        connection = self._cursor.connection
        before = connection.total_changes()
        self._cursor.executemany(self._queries[query].text({}), self._in_project(rows))
        return connection.total_changes() - before

    def _execute(self, query: str, values: dict[str, Any]) -> apsw.Cursor:
        if self._scope is not None:
            values["project_id"] = self._scope.project_id
        text = self._queries[query].text(values)
        if values.get("filter") is None:
            return self._cursor.execute(text, values)
        text, values = with_filter(text, values, SqliteFilterPrinter())
        # Of any number of filters, hardly two are alike: their statements are not kept, lest they
        # push out all others.
        return self._cursor.execute(text, values, can_cache=False)
