"""The pages of a list that a command prints: one, or all from a cursor on."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.sdk._sync.lists import Page

T = TypeVar("T")


def selected_pages(
    read: Callable[..., Page[T]],
    limit: int,
    cursor: str | None,
    filters: Mapping[str, Any],
    *,
    is_all: bool,
) -> Iterator[Page[T]]:
    """Return the pages to print.

    Args:
        read: reads one page, given limit, cursor and filters by name.
        filters: `count` is for the first page only, because counting reads all rows.
        is_all: every page from the cursor on, instead of one.
    """
    options = {**filters, "limit": MAX_LIMIT if is_all else limit}
    pages = _iterate_pages(read, cursor, options)
    return pages if is_all else islice(pages, 1)


def _iterate_pages(
    read: Callable[..., Page[T]], cursor: str | None, options: dict[str, Any]
) -> Iterator[Page[T]]:
    while True:
        page = read(cursor=cursor, **options)
        yield page
        cursor = page.next
        if cursor is None:
            return
        options.pop("count", None)
