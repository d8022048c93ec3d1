"""One transaction on a PostgreSQL connection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any, Protocol, TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.scope import Scope
from userkeep.domain.values.paging import MAX_PAGE_BYTES
from userkeep.domain.values.times import Instant
from userkeep.storage.filters import with_filter
from userkeep.storage.postgres.bindings import ALL_PROJECTS, NO_PROJECT
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.postgres.hnsw import HnswIndex
from userkeep.storage.postgres.search_index import PostgresSearchIndex
from userkeep.storage.postgres.statements import Statement, statement, unprepared_statement
from userkeep.storage.queries import Query
from userkeep.storage.transaction import INLINE_BYTES, BaseTransaction

T = TypeVar("T")


class StatementConnection(Protocol):
    """What a transaction needs of a connection: a `Connection`, or one in pipeline mode."""

    def see(self, projects: bytes, /) -> None:
        """Let the next statements see the rows of a project only; see bindings."""
        ...

    def fetch(
        self, statement: Statement, values: Mapping[str, Any], /
    ) -> Sequence[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        ...

    def iterate(
        self, statement: Statement, values: Mapping[str, Any], /
    ) -> Iterable[tuple[Any, ...]]:
        """Run a statement and convert its rows one by one."""
        ...

    def execute(self, statement: Statement, values: Mapping[str, Any], /) -> int:
        """Run a statement and return how many rows it changed."""
        ...

    def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run a statement for each row of values; return how many rows changed."""
        ...

    def defer(self, statement: Statement, rows: Iterable[Mapping[str, Any]], /) -> None:
        """Run a statement for each row of values, at the latest before COMMIT."""
        ...


class PostgresTransaction(BaseTransaction):
    """The queries of one operation, on one connection."""

    def __init__(
        self,
        connection: StatementConnection,
        queries: Mapping[str, Query],
        now: Instant,
        deadline: Deadline | None = None,
        *,
        is_inline: bool = False,
    ) -> None:
        self._connection = connection
        self._projects = NO_PROJECT
        super().__init__(queries, now, deadline=deadline, is_inline=is_inline)

    @property
    def search_index(self) -> PostgresSearchIndex:
        """The full-text index, in this transaction."""
        return PostgresSearchIndex(self)

    @property
    def vector_index(self) -> HnswIndex:
        """The indexes of embeddings, in this transaction."""
        return HnswIndex(self)

    def bind(self, scope: Scope) -> None:
        super().bind(scope)
        self._projects = b"%d" % scope.project_id

    def see_all_projects(self) -> None:
        super().see_all_projects()
        self._projects = ALL_PROJECTS

    def in_scope(self, scope: Scope) -> "PostgresTransaction":
        self._check_scope(scope)
        bound = PostgresTransaction(
            self._connection,
            self._queries,
            self.now,
            self._deadline,
            is_inline=self._is_inline,
        )
        bound.bind(scope)
        bound.computed = self.computed
        return bound

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        rows = self._connection.fetch(*self._resolve(query, values))
        return kind(*rows[0]) if rows else None

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        return list(starmap(kind, self._connection.fetch(*self._resolve(query, values))))

    def fetch_text(self, text: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """Return all rows of a query whose text depends on what the database has."""
        self._begin(values)
        return list(starmap(kind, self._connection.fetch(unprepared_statement(text), values)))

    def execute(self, query: str, /, **values: Any) -> int:
        return self._connection.execute(*self._resolve(query, values))

    def execute_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> int:
        resolved, _ = self._resolve(query, {})
        return self._connection.execute_many(resolved, self._in_project(rows))

    def defer(self, query: str, /, **values: Any) -> None:
        resolved, values = self._resolve(query, values)
        self._connection.defer(resolved, [values])

    def defer_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> None:
        resolved, _ = self._resolve(query, {})
        self._connection.defer(resolved, self._in_project(rows))

    def _rows(self, query: str, values: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
        values["max_bytes"] = INLINE_BYTES if self._is_inline else MAX_PAGE_BYTES
        return self._connection.iterate(*self._resolve(query, values))

    def _resolve(self, query: str, values: dict[str, Any]) -> tuple[Statement, dict[str, Any]]:
        """Return the statement of a query for these values, and all values that it needs."""
        self._begin(values)
        text = self._queries[query].text(values)
        if values.get("filter") is None:
            return statement(text), values
        text, values = with_filter(text, values, PostgresFilterCompiler())
        return unprepared_statement(text), values

    def _begin(self, values: dict[str, Any]) -> None:
        """Prepare the connection and the values of a query for it."""
        self._connection.see(self._projects)
        self._add_scope(values)


class NeedsSnapshotError(Exception):
    """A read needs a second statement, which must see the same snapshot as the first."""


class SingleStatement(PostgresTransaction):
    """A read of one statement, without BEGIN and COMMIT: a third of the cost.

    `fetch_apart` does not count.

    Raises:
        NeedsSnapshotError: at the second statement. A read changes nothing, so it can run again in
            a transaction.
    """

    _is_used = False

    def fetch_apart(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        found = self.fetch_one(query, kind, **values)
        self._is_used = False
        return found

    def _begin(self, values: dict[str, Any]) -> None:
        if self._is_used:
            raise NeedsSnapshotError
        self._is_used = True
        super()._begin(values)
