"""`client.erasure`: what was forgotten, and what still is being."""

from collections.abc import AsyncIterator

from recollect.api.wire import Erasure
from recollect.domain.paging import Order
from recollect.sdk._async.callers import AsyncCaller
from recollect.sdk._async.lists import AsyncPages, AsyncRows, read_page
from recollect.sdk.calls import make_call
from recollect.sdk.pages import Page

_AT_ONCE = 100


class AsyncErasureClient:
    """Erasures: looked up, listed, scrubbed."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def get(self, id: str) -> Erasure:  # noqa: A002 - its name everywhere
        """Read an erasure.

        Raises:
            NotFound: there is none with this id.
        """
        erasure: Erasure = await self._caller.call(make_call("erasures.get", {"id": id}))
        return erasure

    async def scrub(self, id: str) -> Erasure:  # noqa: A002 - its name everywhere
        """Have the database's files written anew at once, so that nothing erased is in them.

        A server does so by itself, when it is due; without a server nobody does, unless asked.

        Returns:
            The erasure, `scrubbed`; or `erased` where a server goes on with it after 5 seconds,
            where `scrub.problem` says what is in the way, or `scrub.not_done` what cannot be done.

        Raises:
            NotFound: there is none with this id.
        """
        erasure: Erasure = await self._caller.call(make_call("erasures.scrub", {"id": id}))
        return erasure

    async def list(
        self, limit: int = 50, cursor: str | int | None = None, *, order: Order = "created"
    ) -> Page[Erasure]:
        """One page of the erasures, in the order of their acceptance.

        Args:
            limit: how many at most, from 1 to 1,000.
            cursor: the `next` of the page before; None or 0 is the start.
            order: `created`, or `-created` for the newest first.

        Raises:
            BadRequest: the cursor is no one's, or belongs to another order.
        """
        query = {"limit": limit, "cursor": cursor, "order": order}
        return await read_page(self._caller, "erasures.list", {}, query)

    def list_chunked(
        self, chunk_size: int = 100, *, order: Order = "created"
    ) -> AsyncIterator[Page[Erasure]]:
        """All erasures, page by page."""
        query = {"limit": chunk_size, "order": order}
        return AsyncPages(self._caller, "erasures.list", {}, query)

    def list_all(self, *, order: Order = "created") -> AsyncIterator[Erasure]:
        """All erasures, one by one."""
        return AsyncRows(self.list_chunked(_AT_ONCE, order=order))
