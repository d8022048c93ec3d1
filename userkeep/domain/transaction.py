"""What a service may ask of a database: the one contract between services and engines."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from userkeep.domain.scope import Scope
from userkeep.domain.search.index import SearchIndex
from userkeep.domain.values.times import Instant

T = TypeVar("T")


class Transaction(Protocol):
    """One transaction on either engine, with its clock.

    Queries are named; their texts live in `storage/sql/`. Values are given by name. A query's
    optional blocks are switched on by the values that are given and not None.

    An operation may run twice (see the engines), so it touches nothing outside its transaction and
    takes its time and its uuids from here.
    """

    @property
    def now(self) -> Instant:
        """When this operation runs; in a writer, later than every operation before it."""
        ...

    @property
    def scope(self) -> Scope:
        """The scope that the transaction is bound to.

        Raises:
            LookupError: it is bound to none, because it is about the whole instance.
        """
        ...

    def in_scope(self, scope: Scope) -> "Transaction":
        """Return this transaction, bound to a scope.

        Each of its queries then gets the scope's project as the value `project_id`, whatever else
        it is given, so that no query can name another project, or forget to name one.

        Raises:
            LookupError: it is bound to another project.
        """
        ...

    @property
    def search_index(self) -> SearchIndex:
        """The full-text index, in this transaction."""
        ...

    def new_uuid(self) -> str:
        """A fresh uuid of version 7."""
        ...

    def spent_ms(self) -> float:
        """How long this operation has been running, in milliseconds."""
        ...

    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """The first row as `kind` makes it of its columns, in their order; or None."""
        ...

    def fetch_all(self, query: str, kind: Callable[..., T], /, **values: Any) -> list[T]:
        """All rows as `kind`. Name the order in the query, or rely on none."""
        ...

    def execute(self, query: str, /, **values: Any) -> int:
        """Run a statement that returns no rows; how many rows it changed."""
        ...

    def execute_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run a statement once per row of values; how many rows all of them changed."""
        ...

    def defer(self, query: str, /, **values: Any) -> None:
        """Run a statement whose result nobody asks for.

        It is done before whatever is asked next, and before the end of the transaction; where the
        database is far away it travels with that. If it fails, the operation does.
        """
        ...

    def defer_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """As `defer`, once per row of values."""
        ...


Operation = Callable[[Transaction], T]
"""A unit of work: everything it does happens, or nothing."""


def scoped(scope: Scope, service: Callable[..., T], *args: Any, **values: Any) -> Operation[T]:
    """Return the operation that runs a service in a scope: `service(tx, *args, **values)`."""

    def operation(tx: Transaction) -> T:
        return service(tx.in_scope(scope), *args, **values)

    return operation
