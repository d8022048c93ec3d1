"""What the transactions of both engines have in common."""

from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any

from userkeep.domain.deadline import Deadline
from userkeep.domain.scope import Scope
from userkeep.domain.values.ids import new_uuid7
from userkeep.domain.values.times import Instant
from userkeep.storage.queries import Query


class BaseTransaction:
    """The queries, the clock, the uuids and the scope of one operation."""

    __slots__ = ("_began", "_deadline", "_queries", "_scope", "now")

    def __init__(
        self,
        queries: Mapping[str, Query],
        now: Instant,
        scope: Scope | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._queries = queries
        self._scope = scope
        self._deadline = deadline
        self._began = perf_counter()
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

    def check_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.check()

    def bind(self, scope: Scope) -> None:
        self._check_scope(scope)
        self._scope = scope

    def _check_scope(self, scope: Scope) -> None:
        if self._scope is not None and self._scope.project_id != scope.project_id:
            raise LookupError("This transaction is bound to another project.")

    def _in_project(self, rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """Give rows of values the project that this transaction is bound to."""
        if self._scope is None:
            return rows
        rows = list(rows)
        for row in rows:
            row["project_id"] = self._scope.project_id
        return rows
