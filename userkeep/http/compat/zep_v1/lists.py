"""Lists of users and sessions, paginated as in Zep."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.http.compat.lenient import query_integer
from userkeep.http.compat.zep_v1.batches import (
    BATCH_SIZE,
    MAX_BOUNDED,
    Batch,
    array_response,
    make_batch,
)
from userkeep.http.compat.zep_v1.cursors import CursorCache, PagingSession
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse
from userkeep.services.projects import read_in
from userkeep.storage.engine import Engine

Select = Callable[[Transaction, PageRequest], Rows[Any]]
Skip = Callable[[Transaction, int], int | None]


class PagedList:
    """A list of the API.

    Args:
        name: the name of the list, part of a paging session.
        select: returns the rows of a page.
        skip: returns the number of the row after which an offset starts, or None at the end.
        serialize: returns what is sent of a row with its position in the list.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        select: Select,
        skip: Skip,
        serialize: Callable[[Any, int], Any],
    ) -> None:
        self._engine = engine
        self._name = name
        self._select = select
        self._skip = skip
        self._serialize = serialize
        self._cursors = CursorCache()

    async def respond(self, request: Request) -> Response:
        """Return the requested page; without a limit, all rows."""
        parameters = request.query()
        limit = max(query_integer(parameters, "limit"), 0)
        cursor = max(query_integer(parameters, "cursor"), 0)
        session = PagingSession(request.scope.project_id, request.client, self._name, limit)
        after = await self._after(request.scope, session, cursor)
        if after is None:
            return RawResponse(b"[]")

        async def read(after: int, count: int) -> Batch:
            wanted = min(limit - count, BATCH_SIZE) if limit else BATCH_SIZE
            return await self._batch(request.scope, after, wanted, cursor + count, limit - count)

        def finish(count: int, last: int) -> bytes:
            if count:
                self._add_cursors(session, cursor, count, last)
            return b"]"

        response = array_response(b"[", read, after, finish)
        is_bounded = 0 < limit <= MAX_BOUNDED
        return await (response if is_bounded else request.while_connected(response))

    async def _after(self, scope: Scope, session: PagingSession, cursor: int) -> int | None:
        """Return the number of the row after which the page starts; None at the end."""
        if cursor == 0:
            self._cursors.reset(session)
            return 0
        number = self._cursors.find(session, cursor)
        if number is not None:
            return number
        return await self._engine.read_async(
            read_in(scope, self._skip, cursor), is_bounded=cursor <= MAX_BOUNDED
        )

    async def _batch(
        self, scope: Scope, after: int, wanted: int, position: int, left: int
    ) -> Batch:
        """Return rows after a number.

        Args:
            after: the number.
            wanted: how many rows at most.
            position: how many rows of the list come before them.
            left: how many rows the page has yet; without a limit, 0 or less.
        """

        def read(tx: Transaction) -> Batch:
            rows = self._select(tx, PageRequest(limit=wanted, after=after))
            items = [self._serialize(row, at) for at, row in enumerate(rows.items, position + 1)]
            last = rows.items[-1].number if items else after
            return make_batch(items, last, is_last=not rows.has_more or len(items) == left)

        return await self._engine.read_async(read_in(scope, read), is_bounded=wanted <= MAX_BOUNDED)

    def _add_cursors(self, session: PagingSession, cursor: int, count: int, last: int) -> None:
        # The next cursor is the last id of this page, or the offset after a full page.
        if session.limit:
            self._cursors.add(session, {cursor + count, cursor + session.limit}, last)
