"""Lists: from a query to the page to read and its filters, and from rows to the page to send."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from userkeep.api.common import DatedList, FilteredList, ListQuery, Page
from userkeep.api.sessions import SessionList
from userkeep.domain.search.beginnings import parse_beginnings, title_patterns
from userkeep.domain.values.filters import parse_list_filter
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import (
    PageRequest,
    Position,
    Rows,
    decode_cursor,
    encode_cursor,
)
from userkeep.domain.values.times import Instant
from userkeep.handlers.values import optional_instant

Row = TypeVar("Row")
Item = TypeVar("Item")

_active_at: Callable[[Any], Instant] = attrgetter("active_at")


def page_request(query: ListQuery, filters: dict[str, Any] | None = None) -> PageRequest:
    """Return which page a list query asks for.

    Raises:
        BadRequest: the cursor is invalid, or belongs to a list with other filters.
    """
    if query.cursor is None:
        return PageRequest(limit=query.limit, order=query.order)
    number, at = decode_cursor(query.cursor, query.order, filters)
    return PageRequest(limit=query.limit, order=query.order, after=number, position_at=at)


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
        last = items[-1]
        at = _active_at(last) if request.is_by_activity else Instant(0)
        cursor = encode_cursor(request.order, filters, Position(number(last), at))
    return Page(items=[serialize(row) for row in items], next=cursor)


def encode_words(words: Sequence[str]) -> str | None:
    """Return words as JSON; None without any, which filters nothing."""
    return encode_json(words).decode() if words else None


def dated_filters(query: DatedList) -> dict[str, Any]:
    """Return the filters that users and sessions share, by their names in the SQL queries."""
    return {
        "created_after_at": optional_instant(query.created_after or None),
        "created_before_at": optional_instant(query.created_before or None),
        "filter": parse_list_filter(query.filter, query.metadata),
    }


def session_filters(query: SessionList) -> dict[str, Any]:
    """Return the filters of a list of sessions, by their names in the SQL queries."""
    return {
        **dated_filters(query),
        "title_words": encode_words(title_patterns(parse_beginnings(query.q))),
        "active_after_at": optional_instant(query.active_after or None),
        "active_before_at": optional_instant(query.active_before or None),
    }


def metadata_filter(query: FilteredList) -> dict[str, Any]:
    """Return the filter of a list that has no other, by its name in the SQL queries."""
    return {"filter": parse_list_filter(query.filter, {})}
