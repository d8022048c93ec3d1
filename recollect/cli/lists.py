"""Lists as the command line asks for them: one page, or all from there on."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from recollect.domain.paging import MAX_LIMIT
from recollect.sdk.pages import Page

T = TypeVar("T")


def chunks_of(
    read: Callable[..., Page[T]],
    limit: int,
    cursor: str | None,
    filters: Mapping[str, Any],
    *,
    is_all: bool,
) -> Iterator[Page[T]]:
    """The pages of a list that are to be shown.

    Args:
        read: reads one page, given limit, cursor and filters by name.
        is_all: every page from the cursor on, instead of one.
    """
    while True:
        page = read(limit=MAX_LIMIT if is_all else limit, cursor=cursor, **filters)
        yield page
        cursor = page.next
        if not is_all or cursor is None:
            return
