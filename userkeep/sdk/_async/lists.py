"""Lists, page by page and row by row.

They are no generators, which whoever stops half-way would have to close: nothing is held between
two pages, and a page that could not be read may be asked for again.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from userkeep.sdk._async.callers import AsyncCaller
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page

T = TypeVar("T")


async def read_page(
    caller: AsyncCaller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Page[Any]:
    """One page of a list."""
    page = await caller.call(make_call(name, ids, query=query))
    return Page(page.items, page.next)


class AsyncPages(AsyncIterator[Page[T]]):
    """Every page of a list, each read when it is asked for; an empty list has none."""

    def __init__(
        self, caller: AsyncCaller, name: str, ids: dict[str, str], query: dict[str, Any]
    ) -> None:
        self._caller = caller
        self._name = name
        self._ids = ids
        self._query = query
        self._cursor: str | None = None
        self._is_over = False

    async def __anext__(self) -> Page[T]:
        while not self._is_over:
            query = {**self._query, "cursor": self._cursor}
            page = await read_page(self._caller, self._name, self._ids, query)
            self._cursor = page.next
            self._is_over = page.next is None
            if page:
                return page
        raise StopAsyncIteration


class AsyncRows(AsyncIterator[T]):
    """Every row of the pages."""

    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._rows: deque[T] = deque()

    async def __anext__(self) -> T:
        while not self._rows:
            self._rows.extend(await anext(self._pages))
        return self._rows.popleft()
