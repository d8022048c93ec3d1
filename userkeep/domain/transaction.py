"""What a service can do with a database: the only contract between services and engines."""

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from userkeep.domain.scope import Scope
from userkeep.domain.search.index import SearchIndex
from userkeep.domain.values.paging import HasSize, Rows
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.index import VectorIndex

if TYPE_CHECKING:
    # It imports logging, which reads the clock before the command line can check it.
    from concurrent.futures import Executor

T = TypeVar("T")
R = TypeVar("R", bound=HasSize)


class Transaction(Protocol):
    """One transaction on either engine, with its clock.

    Queries are named; their texts are in `storage/sql/`. Values are given by name. An optional
    block of a query is included if its value is given and not None.

    An operation may run twice (see the engines), so it changes nothing outside its transaction and
    takes its time and its uuids from here.
    """

    @property
    def now(self) -> Instant:
        """The time of this operation; of a write, later than that of every write before it."""
        ...

    @property
    def scope(self) -> Scope:
        """The scope that the transaction is bound to.

        Raises:
            LookupError: it is bound to none, because it is about the whole instance.
        """
        ...

    def bind(self, scope: Scope) -> None:
        """Bind this transaction to a scope.

        Each of its queries then gets the scope's project as the value `project_id`, whatever else
        it is given, so that no query can name another project, or forget to name one. If the scope
        has a user, queries of sessions and messages get `scope_user_id` in the same way.

        Raises:
            LookupError: it is bound to another project.
        """
        ...

    def see_all_projects(self) -> None:
        """Declare that this transaction is about the whole instance, for work on many projects.

        Where PostgreSQL itself keeps projects apart (row-level security), a transaction that is
        neither bound to a scope nor declared sees no row that belongs to a project.

        Raises:
            LookupError: it is bound to a scope.
        """
        ...

    def in_scope(self, scope: Scope) -> "Transaction":
        """Return a view of this transaction that is bound to a scope, for work on many projects.

        Raises:
            LookupError: it is bound to another project.
        """
        ...

    @property
    def search_index(self) -> SearchIndex:
        """The full-text index, in this transaction."""
        ...

    @property
    def vector_index(self) -> VectorIndex:
        """The indexes of embeddings, in this transaction."""
        ...

    def new_uuid(self) -> str:
        """Return a new uuid of version 7."""
        ...

    def spent_ms(self) -> float:
        """Return how long this operation has been running, in milliseconds."""
        ...

    def check_deadline(self) -> None:
        """Go on, unless the time limit of this operation is over or its client has disconnected.

        To be called in every loop whose length grows with what is stored.

        Raises:
            Unavailable: the operation must end.
        """
        ...

    def compute_outside(
        self, function: Callable[..., T], *arguments: Hashable, threads: "Executor | None" = None
    ) -> T:
        """Return the result of a function that takes long, computed outside of the transaction.

        If there is no result yet, the operation ends here, and is run again from its beginning once
        there is one. Call this before the operation changes anything, because what it has changed
        is rolled back.

        Args:
            function, arguments: what is computed; the result is known by them.
            threads: where it runs if the operation was begun on an event loop; None for the thread
                in which operations on the same engine compute, one after the other.
        """
        ...

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """Return the first row as `kind(*columns)`, or None if there is no row."""
        ...

    def fetch_apart(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """Return the first row as `fetch_one` does, perhaps of an earlier snapshot than the rest.

        Called before all else. A read with one further query then needs no transaction, which on
        PostgreSQL costs several times as much.
        """
        ...

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """Return all rows as `kind(*columns)`, in no order unless the query has an ORDER BY."""
        ...

    def fetch_page(self, query: str, kind: Callable[..., R], /, **values: Any) -> Rows[R]:
        """Return rows as `fetch_all` does, but only until their texts have MAX_PAGE_BYTES.

        At least one row is returned, if there is any; `has_more` is True if rows were left out.
        """
        ...

    def execute(self, query: str, /, **values: Any) -> int:
        """Run a statement that returns no rows; return how many rows it changed."""
        ...

    def execute_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> int:
        """Run a statement for each row of values; return how many rows were changed in total."""
        ...

    def defer(self, query: str, /, **values: Any) -> None:
        """Run a statement without waiting for its result.

        It runs before the next statement and before the end of the transaction. PostgreSQL receives
        it together with that, which saves a round trip. If it fails, the operation fails.
        """
        ...

    def defer_many(self, query: str, rows: Iterable[dict[str, Any]], /) -> None:
        """Run a statement for each row of values, as `defer` does."""
        ...


Operation = Callable[[Transaction], T]
"""A unit of work: it is committed as a whole, or rolled back."""


def scoped(scope: Scope, service: Callable[..., T], *args: Any, **values: Any) -> Operation[T]:
    """Return the operation that runs a service in a scope: `service(tx, *args, **values)`."""

    def operation(tx: Transaction) -> T:
        tx.bind(scope)
        return service(tx, *args, **values)

    return operation
