# Printed by scripts/print_sync.py from _async/lists.py: change it there.
"""Lists, page by page and row by row."""

from collections.abc import Iterator
from typing import Any, TypeVar

from recollect.sdk._sync.callers import Caller
from recollect.sdk.calls import make_call
from recollect.sdk.pages import Page

T = TypeVar("T")


def read_page(
    caller: Caller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Page[Any]:
    """One page of a list."""
    page = caller.call(make_call(name, ids, query=query))
    return Page(page.items, page.next)


def read_chunked(
    caller: Caller, name: str, ids: dict[str, str], query: dict[str, Any]
) -> Iterator[Page[Any]]:
    """Every page of a list, each read when it is asked for; an empty list has none."""
    cursor: str | None = None
    while True:
        page = read_page(caller, name, ids, {**query, "cursor": cursor})
        if page:
            yield page
        cursor = page.next
        if cursor is None:
            return


def read_all(pages: Iterator[Page[T]]) -> Iterator[T]:
    """Every row of the pages."""
    for page in pages:
        for row in page:
            yield row
