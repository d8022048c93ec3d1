"""What the transactions of both engines have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import starmap
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.scope import Scope
from userkeep.domain.values.ids import new_uuid7
from userkeep.domain.values.paging import MAX_PAGE_BYTES, HasSize, Rows
from userkeep.domain.values.times import Instant
from userkeep.storage.queries import Query

if TYPE_CHECKING:
    # It imports logging, which reads the clock before the command line can check it.
    from concurrent.futures import Executor

R = TypeVar("R", bound=HasSize)
T = TypeVar("T")

INLINE_BYTES = 256 * 1024
"""How much a read on the event loop may read: a millisecond."""


class NeedsThreadError(Exception):
    """A read on the event loop reads more than is expected there; run it in a thread."""


ComputedKey = tuple[Callable[..., Any], tuple[Hashable, ...]]
"""A function and its arguments."""

Computed = dict[ComputedKey, Any]
"""Results of functions."""

_NOTHING: Computed = {}


class NeedsComputingError(Exception):
    """An operation needs the result of a function that takes long; see storage.outside.

    Attributes:
        key: the function and its arguments.
        threads: where it is computed; None for storage.outside's own thread.
    """

    def __init__(self, key: ComputedKey, threads: "Executor | None" = None) -> None:
        self.key = key
        self.threads = threads
        super().__init__("an operation needs a result that is computed outside of it")


class BaseTransaction(ABC):
    """The queries, the clock, the uuids and the scope of one operation.

    Args:
        is_inline: whether the operation runs on an event loop, where it must be short.

    Attributes:
        computed: what `compute_outside` returns.
    """

    __slots__ = ("_began", "_deadline", "_is_inline", "_queries", "_scope", "computed", "now")

    def __init__(
        self,
        queries: Mapping[str, Query],
        now: Instant,
        scope: Scope | None = None,
        deadline: Deadline | None = None,
        *,
        is_inline: bool = False,
    ) -> None:
        self._queries = queries
        self._scope = scope
        self._deadline = deadline
        self._is_inline = is_inline
        self._began = perf_counter()
        self.computed = _NOTHING
        self.now = now

    @property
    def scope(self) -> Scope:
        """The scope that this transaction is bound to."""
        if self._scope is None:
            raise LookupError("This transaction is not bound to a scope.")
        return self._scope

    def new_uuid(self) -> str:
        """Return a fresh uuid of version 7."""
        return new_uuid7(self.now)

    def spent_ms(self) -> float:
        """Return how long this operation has been running, in milliseconds."""
        return (perf_counter() - self._began) * 1000

    def compute_outside(
        self, function: Callable[..., T], *arguments: Hashable, threads: "Executor | None" = None
    ) -> T:
        key = (function, arguments)
        try:
            result: T = self.computed[key]
        except KeyError:
            raise NeedsComputingError(key, threads) from None
        return result

    def check_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.check()

    def fetch_apart(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        return self.fetch_one(query, kind, **values)

    @abstractmethod
    def fetch_one(self, query: str, kind: Callable[..., T], /, **values: Any) -> T | None:
        """Return the first row as `kind(*columns)`, or None if there is no row."""

    def fetch_page(self, query: str, kind: Callable[..., R], /, **values: Any) -> Rows[R]:
        most = values.get("limit", MAX_PAGE_BYTES) * getattr(kind, "max_size_bytes", MAX_PAGE_BYTES)
        if most <= MAX_PAGE_BYTES:
            # Half the time: their sizes need not be known.
            return Rows(list(starmap(kind, self._rows(query, values))), has_more=False)
        items: list[R] = []
        size_bytes, limit = 0, INLINE_BYTES if self._is_inline else MAX_PAGE_BYTES
        for columns in self._rows(query, values):
            if size_bytes > limit:
                if self._is_inline:
                    raise NeedsThreadError
                return Rows(items, has_more=True)
            item = kind(*columns)
            items.append(item)
            size_bytes += item.size_bytes
        return Rows(items, has_more=False)

    @abstractmethod
    def _rows(self, query: str, values: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
        """Run a query and return its rows, which may be read one by one."""

    def bind(self, scope: Scope) -> None:
        self._check_scope(scope)
        self._scope = scope

    def see_all_projects(self) -> None:
        if self._scope is not None:
            raise LookupError("This transaction is bound to a project.")

    def _check_scope(self, scope: Scope) -> None:
        if self._scope is not None and self._scope.project_id != scope.project_id:
            raise LookupError("This transaction is bound to another project.")

    def _add_scope(self, values: dict[str, Any]) -> None:
        """Give the values of a query what it must obey: the project, and the user, if only one."""
        scope = self._scope
        if scope is not None:
            values["project_id"] = scope.project_id
            if scope.user_id is not None:
                values["scope_user_id"] = scope.user_id
                values["scope_user_uuid"] = scope.user_uuid

    def _in_project(self, rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """Give rows of values the project that this transaction is bound to."""
        if self._scope is None:
            return rows
        rows = list(rows)
        for row in rows:
            row["project_id"] = self._scope.project_id
        return rows
