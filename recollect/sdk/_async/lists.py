"""Lists, page by page and row by row."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from recollect.sdk._async.callers import AsyncCaller
from recollect.sdk.calls import make_call
from recollect.sdk.pages import Page

T = TypeVar("T")


async def read_page(
    caller: AsyncCaller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Page[Any]:
    """One page of a list."""
    page = await caller.call(make_call(name, ids, query=query))
    return Page(page.items, page.next)


async def read_chunked(
    caller: AsyncCaller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> AsyncIterator[Page[Any]]:
    """Every page of a list, each read when it is asked for; an empty list has none."""
    cursor: str | None = None
    while True:
        page = await read_page(caller, name, ids, {**query, "cursor": cursor})
        if page:
            yield page
        cursor = page.next
        if cursor is None:
            return


async def read_all(pages: AsyncIterator[Page[T]]) -> AsyncIterator[T]:
    """Every row of the pages."""
    async for page in pages:
        for row in page:
            yield row
