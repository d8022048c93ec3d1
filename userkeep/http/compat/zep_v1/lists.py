"""Lists of users and of sessions, as Zep's clients page through them."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction, scoped
from userkeep.domain.values.paging import Page
from userkeep.http.compat.lenient import query_integer
from userkeep.http.compat.zep_v1.cursors import RememberedCursors, Walk
from userkeep.http.requests import Request
from userkeep.http.responses import RawResponse
from userkeep.storage.engine import Engine

BATCH = 1_000
SHORT = 100

encode_json = msgspec.json.Encoder().encode


Select = Callable[[Transaction, Page], Sequence[Any]]
Skip = Callable[[Transaction, int], int | None]


class PagedList:
    """One list of the door.

    Args:
        name: of the list, to tell walks apart.
        select: the rows of a page, one more where more are left.
        skip: the number of the row after which an offset begins.
        shape: a row and its place in the list, as they are sent.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        select: Select,
        skip: Skip,
        shape: Callable[[Any, int], Any],
    ) -> None:
        self._engine = engine
        self._name = name
        self._select = select
        self._skip = skip
        self._shape = shape
        self._cursors = RememberedCursors()

    async def answer(self, request: Request) -> Response:
        """The page that a request asks for; without a limit, all that there is."""
        parameters = request.query()
        limit = max(query_integer(parameters, "limit"), 0)
        cursor = max(query_integer(parameters, "cursor"), 0)
        walk = Walk(request.scope.project_id, request.client, self._name, limit)
        after = await self._after(request.scope, walk, cursor)
        if after is None:
            return RawResponse(b"[]")
        rows = await self._rows(request.scope, after, min(limit or BATCH, BATCH))
        is_all = len(rows) < BATCH or 0 < limit <= BATCH
        if not is_all:
            return StreamingResponse(
                self._stream(request.scope, walk, cursor, rows), media_type="application/json"
            )
        if rows:
            self._remember(walk, cursor, len(rows), rows[-1].number)
        return RawResponse(encode_json(self._shaped(rows, cursor)))

    async def _after(self, scope: Scope, walk: Walk, cursor: int) -> int | None:
        """The number of the row after which the page begins; None: nothing is left."""
        if cursor == 0:
            self._cursors.begin(walk)
            return 0
        remembered = self._cursors.find(walk, cursor)
        if remembered is not None:
            return remembered
        return await self._engine.read_async(
            scoped(scope, self._skip, cursor), is_bounded=cursor <= SHORT
        )

    async def _rows(self, scope: Scope, after: int, limit: int) -> Sequence[Any]:
        page = Page(limit=limit, after=after)
        rows = await self._engine.read_async(
            scoped(scope, self._select, page), is_bounded=limit <= SHORT
        )
        return rows[:limit]

    async def _stream(
        self, scope: Scope, walk: Walk, cursor: int, rows: Sequence[Any]
    ) -> AsyncIterator[bytes]:
        opening = b"["
        count = 0
        while rows:
            yield opening + encode_json(self._shaped(rows, cursor + count))[1:-1]
            opening = b","
            count += len(rows)
            last = rows[-1].number
            wanted = min(walk.limit - count, BATCH) if walk.limit else BATCH
            rows = await self._rows(scope, last, wanted) if wanted else []
        self._remember(walk, cursor, count, last)
        yield b"]"

    def _shaped(self, rows: Sequence[Any], cursor: int) -> list[Any]:
        shape = self._shape
        return [shape(row, place) for place, row in enumerate(rows, cursor + 1)]

    def _remember(self, walk: Walk, cursor: int, count: int, last: int) -> None:
        # A client goes on from the last id it saw, or from where a full page would have ended.
        if walk.limit:
            self._cursors.remember(walk, {cursor + count, cursor + walk.limit}, last)
