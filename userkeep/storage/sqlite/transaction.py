"""One transaction on a SQLite connection.

SQLite stores the domain's types (integers, strings and None), so there is nothing to convert.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import starmap
from operator import itemgetter
from typing import Any, TypeVar

import apsw

from userkeep.domain.deadline import Deadline
from userkeep.domain.scope import Scope
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.index import NoVectorIndex
from userkeep.storage.filters import with_filter
from userkeep.storage.queries import Query
from userkeep.storage.sqlite.filters import SqliteFilterCompiler
from userkeep.storage.sqlite.search_index import SqliteSearchIndex
from userkeep.storage.transaction import BaseTransaction

T = TypeVar("T")


class DeferredWrites(list[tuple[int, str, Iterable[Mapping[str, Any]]]]):
    """Writes that are left for the end of a transaction: sort key, SQL and rows.

    FTS5 keeps entries that arrive in ascending order of their rowids together, and starts a new
    segment (three times the cost) whenever the order breaks.
    """

    def flush(self, cursor: apsw.Cursor) -> None:
        """Run the writes, in the order of their sort keys."""
        for _sort_key, text, rows in sorted(self, key=itemgetter(0)):
            cursor.executemany(text, rows)
        self.clear()


class SqliteTransaction(BaseTransaction):
    """The queries of one operation, on one cursor."""

    __slots__ = ("_cursor", "_deferred")

    def __init__(
        self,
        cursor: apsw.Cursor,
        queries: Mapping[str, Query],
        now: Instant,
        deferred: DeferredWrites | None = None,
        scope: Scope | None = None,
        deadline: Deadline | None = None,
        *,
        is_inline: bool = False,
    ) -> None:
        self._cursor = cursor
        self._deferred = DeferredWrites() if deferred is None else deferred
        super().__init__(queries, now, scope, deadline, is_inline=is_inline)

    @property
    def search_index(self) -> SqliteSearchIndex:
        """The full-text index, in this transaction."""
        return SqliteSearchIndex(self)

    @property
    def vector_index(self) -> NoVectorIndex:
        """None: all embeddings are compared."""
        return NoVectorIndex()

    def in_scope(self, scope: Scope) -> "SqliteTransaction":
        self._check_scope(scope)
        bound = SqliteTransaction(
            self._cursor,
            self._queries,
            self.now,
            self._deferred,
            scope,
            self._deadline,
            is_inline=self._is_inline,
        )
        bound.computed = self.computed
        return bound

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        # All rows are fetched, because an unfinished statement has not counted its changes.
        rows = self._execute(query, values).fetchall()
        return kind(*rows[0]) if rows else None

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        return list(starmap(kind, self._execute(query, values)))

    def execute(self, query: str, /, **values: Any) -> int:
        self._execute(query, values)
        return self._cursor.connection.changes()

    def defer(self, query: str, /, **values: Any) -> None:
        # There is no round trip to save.
        self._execute(query, values)

    def defer_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> None:
        self._cursor.executemany(self._queries[query].text({}), self._in_project(rows))

    def defer_to_commit(
        self, query: str, rows: Iterable[dict[str, Any]], /, *, sort_key: int
    ) -> None:
        """Run a statement once per row of values at the end of the transaction, or at `flush`.

        Operations that share the transaction do it in the order of their sort keys. No other
        statement of the transaction may depend on it.
        """
        self._deferred.append((sort_key, self._queries[query].text({}), self._in_project(rows)))

    def flush(self) -> None:
        """Run now what any operation has left for the end of the transaction."""
        self._deferred.flush(self._cursor)

    def execute_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> int:
        connection = self._cursor.connection
        before = connection.total_changes()
        self._cursor.executemany(self._queries[query].text({}), self._in_project(rows))
        return connection.total_changes() - before

    def _rows(self, query: str, values: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
        # Rows that are not asked for are not read.
        return self._execute(query, values)

    def _execute(self, query: str, values: dict[str, Any]) -> apsw.Cursor:
        self._add_scope(values)
        text = self._queries[query].text(values)
        if values.get("filter") is None:
            return self._cursor.execute(text, values)
        text, values = with_filter(text, values, SqliteFilterCompiler())
        # Filters are hardly ever repeated: caching their statements would evict all others.
        return self._cursor.execute(text, values, can_cache=False)
