"""What a service may ask of a database: the one contract between services and engines."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from recollect.domain.times import Instant

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

    def new_uuid(self) -> str:
        """A fresh uuid of version 7."""
        ...

    def spent_ms(self) -> float:
        """How long this operation has been running, in milliseconds."""
        ...

    def one(self, query: str, kind: type[T], /, **values: Any) -> T | None:
        """The first row as `kind` (fields in the order of the columns), or None."""
        ...

    def all(self, query: str, kind: type[T], /, **values: Any) -> list[T]:
        """All rows as `kind`. Name the order in the query, or rely on none."""
        ...

    def run(self, query: str, /, **values: Any) -> int:
        """Run a statement that returns no rows; how many rows it changed."""
        ...

    def run_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> int:
        """Run a statement once per row of values; how many rows all of them changed."""
        ...

    def tell(self, query: str, /, **values: Any) -> None:
        """Run a statement whose result nobody asks for.

        It is done before whatever is asked next, and before the end of the transaction; where the
        database is far away it travels with that. If it fails, the operation does.
        """
        ...

    def tell_many(self, query: str, rows: Iterable[Mapping[str, Any]], /) -> None:
        """As `tell`, once per row of values."""
        ...


Operation = Callable[[Transaction], T]
"""A unit of work: everything it does happens, or nothing."""
