"""Lists of users and sessions, paginated as in Zep."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.values.paging import PageRequest
from userkeep.http.compat.lenient import query_integer
from userkeep.http.compat.zep_v1.cursors import CursorCache, PagingSession
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse
from userkeep.storage.engine import Engine

BATCH_SIZE = 1_000
"""How many rows are read at a time."""

MAX_BOUNDED = 100
"""How many rows a read that counts as bounded has at most."""

encode_json = msgspec.json.Encoder().encode

Select = Callable[[Transaction, PageRequest], Sequence[Any]]
Skip = Callable[[Transaction, int], int | None]


class PagedList:
    """A list of the API.

    Args:
        name: the name of the list, part of a paging session.
        select: returns the rows of a page, plus one if there is a next page.
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
        rows = await self._rows(request.scope, after, min(limit or BATCH_SIZE, BATCH_SIZE))
        is_all = len(rows) < BATCH_SIZE or 0 < limit <= BATCH_SIZE
        if not is_all:
            return StreamingResponse(
                self._stream(request.scope, session, cursor, rows), media_type="application/json"
            )
        if rows:
            self._add_cursors(session, cursor, len(rows), rows[-1].number)
        return RawResponse(encode_json(self._serialize_all(rows, cursor)))

    async def _after(self, scope: Scope, session: PagingSession, cursor: int) -> int | None:
        """Return the number of the row after which the page starts; None at the end."""
        if cursor == 0:
            self._cursors.reset(session)
            return 0
        number = self._cursors.find(session, cursor)
        if number is not None:
            return number
        return await self._engine.read_async(
            scoped(scope, self._skip, cursor), is_bounded=cursor <= MAX_BOUNDED
        )

    async def _rows(self, scope: Scope, after: int, limit: int) -> Sequence[Any]:
        page = PageRequest(limit=limit, after=after)
        rows = await self._engine.read_async(
            scoped(scope, self._select, page), is_bounded=limit <= MAX_BOUNDED
        )
        return rows[:limit]

    async def _stream(
        self, scope: Scope, session: PagingSession, cursor: int, rows: Sequence[Any]
    ) -> AsyncIterator[bytes]:
        opening = b"["
        count = 0
        while rows:
            yield opening + encode_json(self._serialize_all(rows, cursor + count))[1:-1]
            opening = b","
            count += len(rows)
            last = rows[-1].number
            wanted = min(session.limit - count, BATCH_SIZE) if session.limit else BATCH_SIZE
            rows = await self._rows(scope, last, wanted) if wanted else []
        self._add_cursors(session, cursor, count, last)
        yield b"]"

    def _serialize_all(self, rows: Sequence[Any], cursor: int) -> list[Any]:
        serialize = self._serialize
        return [serialize(row, position) for position, row in enumerate(rows, cursor + 1)]

    def _add_cursors(self, session: PagingSession, cursor: int, count: int, last: int) -> None:
        # The next cursor is the last id of this page, or the offset after a full page.
        if session.limit:
            self._cursors.add(session, {cursor + count, cursor + session.limit}, last)
