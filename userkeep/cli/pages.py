"""The pages of a list that a command prints: one, or all from a cursor on."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.sdk.pages import Page

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
        is_all: every page from the cursor on, instead of one.
    """
    page_limit = MAX_LIMIT if is_all else limit
    pages = _iterate_pages(lambda at: read(limit=page_limit, cursor=at, **filters), cursor)
    return pages if is_all else islice(pages, 1)


def _iterate_pages(read: Callable[[str | None], Page[T]], cursor: str | None) -> Iterator[Page[T]]:
    while True:
        page = read(cursor)
        yield page
        cursor = page.next
        if cursor is None:
            return
