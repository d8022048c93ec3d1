"""Lists: pages of them, and iteration over all pages.

Iterators are not generators: there is nothing to close if iteration stops early, and a page that
could not be read can be requested again.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

from msgspec import UNSET

from userkeep.api import common
from userkeep.api.messages import Message
from userkeep.api.prompts import Prompts
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import BasePage

T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound="AsyncPage[Any]")

_PAGE_SIZE = 100


class AsyncSource:
    """Where the pages of a list are read from: the operation with its arguments."""

    def __init__(
        self, transport: AsyncTransport, name: str, ids: dict[str, str], query: dict[str, Any]
    ) -> None:
        self._transport = transport
        self._name = name
        self._ids = ids
        self._query = query

    async def read(self, **arguments: Any) -> common.Page[Any]:
        """Read a page with some arguments changed."""
        query = {**self._query, **arguments}
        if query["limit"] is None:
            query["limit"] = _PAGE_SIZE
        page: common.Page[Any] = await self._transport.send(
            make_call(self._name, self._ids, query=query)
        )
        return page


class AsyncPage(BasePage[T_co]):
    """A list, or a page of it.

    With a `limit`, it has at most so many items, and `next` is the cursor of the next page. Without
    one, iteration reads all items, by pages of 100, each when it is needed. As a sequence
    (`page[0]`, `page[-1]`, `==`) it is the first page, and `len(page)` raises TypeError if there
    are more pages.

    Attributes:
        next: the `cursor` of the page after the first; None if there is none.
        total: the number of all rows, if it was requested with `count`; else None.
    """

    _source: AsyncSource | None = None

    @property
    def _has_more(self) -> bool:
        return self._source is not None and self.next is not None

    def __aiter__(self) -> AsyncIterator[T_co]:
        return AsyncItems(self, self._source)


class AsyncMessagePage(AsyncPage[Message], Prompts):
    """A list of messages, or a page of it, which can be written as a prompt."""

    def _prompt_messages(self) -> Iterable[Message]:
        return self

    @classmethod
    def _kinds(cls) -> tuple[Any, ...]:
        return (Message,)


@raises_at_its_caller
class AsyncItems(AsyncIterator[T_co]):
    """The items of a page, and of the pages after it that are read from the source."""

    def __init__(self, page: BasePage[T_co], source: AsyncSource | None) -> None:
        self._items = deque(page[:])
        self._source = source
        self._cursor = page.next

    async def __anext__(self) -> T_co:
        while not self._items:
            if self._source is None or self._cursor is None:
                raise StopAsyncIteration
            page = await self._source.read(cursor=self._cursor, count=None)
            self._cursor = page.next
            self._items.extend(page.items)
        return self._items.popleft()


@raises_at_its_caller
class AsyncChunks(AsyncIterator[AsyncPage[T_co]]):
    """All pages of a list, each requested when it is needed. An empty list has no page."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._cursor: str | None = None
        self._is_finished = False

    async def __anext__(self) -> AsyncPage[T_co]:
        while not self._is_finished:
            page = await self._source.read(cursor=self._cursor)
            self._cursor = page.next
            self._is_finished = page.next is None
            if page.items:
                return AsyncPage(page.items, page.next)
        raise StopAsyncIteration


async def read_list(
    kind: type[P], transport: AsyncTransport, name: str, ids: dict[str, str], query: dict[str, Any]
) -> P:
    """Return a page of a list; without a limit in the query, the whole list."""
    source = AsyncSource(transport, name, ids, query)
    first = await source.read()
    page = kind(first.items, first.next, None if first.count is UNSET else first.count)
    if query["limit"] is None:
        page._source = source
    return page
