# Printed by scripts/print_sync.py from _async/lists.py: change it there.
"""Lists, page by page and row by row.

They are no generators, which whoever stops half-way would have to close: nothing is held between
two pages, and a page that could not be read may be asked for again.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, TypeVar

from userkeep.sdk._sync.callers import Caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page

T = TypeVar("T")


def read_page(
    caller: Caller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Page[Any]:
    """One page of a list."""
    page = caller.call(make_call(name, ids, query=query))
    return Page(page.items, page.next)


class Pages(Iterator[Page[T]]):
    """Every page of a list, each read when it is asked for; an empty list has none."""

    def __init__(
        self, caller: Caller, name: str, ids: dict[str, str], query: dict[str, Any]
    ) -> None:
        self._caller = caller
        self._name = name
        self._ids = ids
        self._query = query
        self._cursor: str | None = None
        self._is_over = False

    def __next__(self) -> Page[T]:
        while not self._is_over:
            query = {**self._query, "cursor": self._cursor}
            page = read_page(self._caller, self._name, self._ids, query)
            self._cursor = page.next
            self._is_over = page.next is None
            if page:
                return page
        raise StopIteration


class Rows(Iterator[T]):
    """Every row of the pages."""

    def __init__(self, pages: Iterator[Page[T]]) -> None:
        self._pages = pages
        self._rows: deque[T] = deque()

    def __next__(self) -> T:
        while not self._rows:
            self._rows.extend(next(self._pages))
        return self._rows.popleft()
