"""Iteration over lists, by page and by item.

These are not generators: there is nothing to close if iteration stops early, and a page that could
not be read can be requested again.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from msgspec import UNSET

from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page

T = TypeVar("T")


async def read_page(
    transport: AsyncTransport, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Page[Any]:
    """Return one page of a list."""
    page = await transport.send(make_call(name, ids, query=query))
    return Page(page.items, page.next, None if page.count is UNSET else page.count)


class AsyncPages(AsyncIterator[Page[T]]):
    """All pages of a list, each requested when it is needed. An empty list has no page."""

    def __init__(
        self, transport: AsyncTransport, name: str, ids: dict[str, str], query: dict[str, Any]
    ) -> None:
        self._transport = transport
        self._name = name
        self._ids = ids
        self._query = query
        self._cursor: str | None = None
        self._is_finished = False

    async def __anext__(self) -> Page[T]:
        while not self._is_finished:
            query = {**self._query, "cursor": self._cursor}
            page = await read_page(self._transport, self._name, self._ids, query)
            self._cursor = page.next
            self._is_finished = page.next is None
            if page:
                return page
        raise StopAsyncIteration


class AsyncItems(AsyncIterator[T]):
    """All items of the pages."""

    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._items: deque[T] = deque()

    async def __anext__(self) -> T:
        while not self._items:
            self._items.extend(await anext(self._pages))
        return self._items.popleft()
