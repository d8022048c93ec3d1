"""One transaction on a PostgreSQL connection. See domain.transaction for the contract."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any, Protocol, TypeVar

from userkeep.domain.scope import Scope
from userkeep.domain.values.times import Instant
from userkeep.storage.filters import with_filter
from userkeep.storage.postgres.filters import PostgresFilterPrinter
from userkeep.storage.postgres.search_index import PostgresSearchIndex
from userkeep.storage.postgres.statements import Statement, passing_statement, statement
from userkeep.storage.queries import Query
from userkeep.storage.transaction import BaseTransaction

T = TypeVar("T")


class Connected(Protocol):
    """What a transaction needs of a connection; see Connection."""

    def rows(self, statement: Statement, values: Mapping[str, Any], /) -> Sequence[tuple[Any, ...]]:
        """Run a statement; its rows."""
        ...

    def execute(self, statement: Statement, values: Mapping[str, Any], /) -> int:
        """Run a statement; how many rows it changed."""
        ...

    def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run a statement once per row of values; how many rows changed in all."""
        ...

    def run_later(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Run a statement once per row of values, at the latest before COMMIT."""
        ...


class PostgresTransaction(BaseTransaction):
    """The queries of one operation, on one connection."""

    def __init__(self, connection: Connected, queries: Mapping[str, Query], now: Instant) -> None:
        self._connection = connection
        super().__init__(queries, now)

    @property
    def search_index(self) -> PostgresSearchIndex:
        """The full-text index, in this transaction."""
        return PostgresSearchIndex(self)

    def in_scope(self, scope: Scope) -> "PostgresTransaction":
        """Return this transaction, bound to a scope."""
        self._check_scope(scope)
        bound = PostgresTransaction(self._connection, self._queries, self.now)
        bound._scope = scope
        return bound

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """See domain.transaction.Transaction."""
        rows = self._connection.rows(*self._asked(query, values))
        return kind(*rows[0]) if rows else None

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """See domain.transaction.Transaction."""
        return list(starmap(kind, self._connection.rows(*self._asked(query, values))))

    def execute(self, query: str, /, **values: Any) -> int:
        """See domain.transaction.Transaction."""
        return self._connection.execute(*self._asked(query, values))

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """See domain.transaction.Transaction."""
        asked, _ = self._asked(query, {})
        return self._connection.execute_many(asked, self._in_project(rows))

    def defer(self, query: str, /, **values: Any) -> None:
        """See domain.transaction.Transaction."""
        asked, values = self._asked(query, values)
        self._connection.run_later(asked, [values])

    def defer_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """See domain.transaction.Transaction."""
        asked, _ = self._asked(query, {})
        self._connection.run_later(asked, self._in_project(rows))

    def _asked(self, query: str, values: dict[str, Any]) -> tuple[Statement, dict[str, Any]]:
        if self._scope is not None:
            values["project_id"] = self._scope.project_id
        text = self._queries[query].text(values)
        if values.get("filter") is None:
            return statement(text), values
        text, values = with_filter(text, values, PostgresFilterPrinter())
        return passing_statement(text), values


class NeedsSnapshotError(Exception):
    """A read has asked for a second statement, which must see what the first one saw."""


class SingleStatement(PostgresTransaction):
    """A read without BEGIN and COMMIT, which is enough for one statement, and a third of the cost.

    Raises:
        NeedsSnapshotError: from the second statement on. A read changes nothing, so it can run
            again in a transaction.
    """

    _is_used = False

    def in_scope(self, scope: Scope) -> "SingleStatement":
        """Bind this transaction itself, because a copy would not know of its first statement."""
        self._check_scope(scope)
        self._scope = scope
        return self

    def _asked(self, query: str, values: dict[str, Any]) -> tuple[Statement, dict[str, Any]]:
        if self._is_used:
            raise NeedsSnapshotError
        self._is_used = True
        return super()._asked(query, values)
