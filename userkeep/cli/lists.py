"""Lists as the command line asks for them: one page, or all from there on."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, TypeVar

from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.sdk.pages import Page

T = TypeVar("T")


class HasNext(Protocol):
    """A page, in this respect."""

    next: str | None


P = TypeVar("P", bound=HasNext)


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
    at_once = MAX_LIMIT if is_all else limit
    pages = pages_from(lambda at: read(limit=at_once, cursor=at, **filters), cursor)
    return pages if is_all else islice(pages, 1)


def pages_from(read: Callable[[str | None], P], cursor: str | None = None) -> Iterator[P]:
    """The pages of a list, each read when it is asked for.

    Args:
        read: reads the page at a cursor; None is the start.
        cursor: where to begin.
    """
    while True:
        page = read(cursor)
        yield page
        cursor = page.next
        if cursor is None:
            return
