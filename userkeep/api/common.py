"""Types that several nouns share: lists and pages, filters, times, revisions."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.values.paging import DEFAULT_LIMIT, MAX_LIMIT, Order
from userkeep.domain.values.times import TIME_SCHEMA, GivenTime

T = TypeVar("T")

Owner = Annotated[
    str | None,
    Meta(
        description="Only if the session belongs to this user. A session of another user, or of "
        "none, is then 404, as if it did not exist."
    ),
]

SHORT_PAGE = 100

Limit = Annotated[
    int, Meta(ge=1, le=MAX_LIMIT, description="The maximum number of items in a page.")
]

Cursor = Annotated[str, Meta(description="The `next` of the previous page.")]

JsonObject = dict[str, Any]

# Parsed by domain.values.filters.parse_filter, and described in http.openapi.
_FILTER = {"$ref": "#/components/schemas/Filter"}

Filter = Annotated[JsonObject, Meta(extra_json_schema=_FILTER)]

FilterText = Annotated[
    str,
    Meta(
        description="A filter on metadata.",
        examples=['{"field": "metadata.topic", "op": "eq", "value": "shoes"}'],
        extra_json_schema={"contentMediaType": "application/json", "contentSchema": _FILTER},
    ),
]

Moment = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]

Bound = Annotated[
    GivenTime,
    Meta(
        description="Exclusive. A date, or a time, which is UTC unless it has an offset.",
        extra_json_schema=TIME_SCHEMA,
    ),
]

Uuid = Annotated[
    str,
    Meta(description="Assigned by the server. It changes if the id is reused after a deletion."),
]

Revision = Annotated[
    int, Meta(description="The number of this version, from 1. Also the ETag, for If-Match.")
]


Words = Annotated[str, Meta(description="Each of its words begins a word of what is found.")]

Count = Annotated[bool, Meta(description="Whether the page has the number of all rows.")]


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A page of a list. `next` is the cursor of the next page, and null on the last page.

    `count` is the number of all that match the filters, if it was requested.
    """

    items: list[T]
    next: str | None
    count: int | UnsetType = UNSET


class SessionQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The parameter of each operation on a session: whose it must be."""

    user_id: Owner = None

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited: one row is found by its key."""
        return True


class ListQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a list: which page, in which order."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None
    order: Annotated[Order, Meta(description="created: oldest first; -created: newest first.")] = (
        "created"
    )

    @property
    def is_bounded(self) -> bool:
        """Whether an index and a small page limit the work."""
        return self.limit <= SHORT_PAGE


class FilteredList(ListQuery, kw_only=True):
    """Parameters of a list with a filter on metadata."""

    filter: FilterText | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited; with a filter it is not."""
        return self.filter is None and self.limit <= SHORT_PAGE


class DatedList(FilteredList, kw_only=True):
    """Parameters of a list with filters on the time of creation, on metadata and by words.

    A condition on metadata is a parameter such as `metadata.address.city=Paris`, which can be
    repeated: all conditions must be met.
    """

    created_after: Bound | UnsetType = UNSET
    created_before: Bound | UnsetType = UNSET
    metadata: dict[str, list[str]] = {}
    q: Words | None = None
    count: Count = False

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited; with conditions that have no index it is not."""
        is_dated = self.created_after is not UNSET or self.created_before is not UNSET
        has_long_filter = is_dated or self.metadata or self.q is not None or self.count
        return not has_long_filter and super().is_bounded
