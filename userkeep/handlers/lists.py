"""Lists: from a query to the page to read and its filters, and from rows to the page to send."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from userkeep.api.common import DatedList, FilteredList, ListQuery, Page
from userkeep.domain.values.filters import parse_list_filter
from userkeep.domain.values.paging import PageRequest, Rows, decode_cursor, encode_cursor
from userkeep.handlers.values import optional_instant

Row = TypeVar("Row")
Item = TypeVar("Item")


def page_request(query: ListQuery, filters: dict[str, Any] | None = None) -> PageRequest:
    """Return which page a list query asks for.

    Raises:
        BadRequest: the cursor is invalid, or belongs to a list with other filters.
    """
    after = None
    if query.cursor is not None:
        after = decode_cursor(query.cursor, query.order, filters)
    return PageRequest(limit=query.limit, order=query.order, after=after)


def serialize_page(
    rows: Rows[Row],
    request: PageRequest,
    serialize: Callable[[Row], Item],
    filters: dict[str, Any] | None = None,
    number: Callable[[Row], int] = attrgetter("number"),
) -> Page[Item]:
    """Return the page to send, with the cursor of the next one if there are more rows."""
    items, cursor = rows.items, None
    if rows.has_more:
        cursor = encode_cursor(request.order, filters, number(items[-1]))
    return Page(items=[serialize(row) for row in items], next=cursor)


def dated_filters(query: DatedList) -> dict[str, Any]:
    """Return the filters that users and sessions share, by their names in the SQL queries."""
    return {
        "created_after_at": optional_instant(query.created_after or None),
        "created_before_at": optional_instant(query.created_before or None),
        "filter": parse_list_filter(query.filter, query.metadata),
    }


def metadata_filter(query: FilteredList) -> dict[str, Any]:
    """Return the filter of a list that has no other, by its name in the SQL queries."""
    return {"filter": parse_list_filter(query.filter, {})}
