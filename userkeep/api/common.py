"""What the types of several nouns share: paging, bounds, and the fields of every stored thing."""

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.values.paging import DEFAULT_LIMIT, MAX_LIMIT, Order

T = TypeVar("T")

SHORT_PAGE = 100

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many rows a page has at most.")]

Cursor = Annotated[str, Meta(description="The `next` of the page before.")]

JsonObject = dict[str, Any]

# Read by domain.filters.read_filter, and described in http.openapi.
_FILTER = {"$ref": "#/components/schemas/Filter"}

Filter = Annotated[JsonObject, Meta(extra_json_schema=_FILTER)]

FilterText = Annotated[
    str,
    Meta(
        description="Conditions on metadata; see the type.",
        examples=['{"field": "metadata.topic", "op": "eq", "value": "shoes"}'],
        extra_json_schema={"contentMediaType": "application/json", "contentSchema": _FILTER},
    ),
]

_DATE_TIME = {"format": "date-time"}

Moment = Annotated[datetime, Meta(extra_json_schema=_DATE_TIME)]

Bound = Annotated[
    datetime, Meta(description="Exclusive; without a zone UTC.", extra_json_schema=_DATE_TIME)
]

Uuid = Annotated[str, Meta(description="The server's own; distinguishes namesakes.")]

Revision = Annotated[
    int, Meta(description="Counts changes of the fields, from 1; also the ETag, for If-Match.")
]


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A page of a list; `next` leads to the one after, and is null on the last."""

    items: list[T]
    next: str | None


class ListQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None
    order: Order = "created"

    @property
    def is_bounded(self) -> bool:
        """Whether an index and a small page bound the work."""
        return self.limit <= SHORT_PAGE


class FilteredList(ListQuery, kw_only=True):
    """A list of what has metadata."""

    filter: FilterText | None = None

    @property
    def is_bounded(self) -> bool:
        """See ListQuery; a filter has no bound."""
        return self.filter is None and self.limit <= SHORT_PAGE


class DatedList(FilteredList, kw_only=True):
    """A list of what has a date and metadata.

    A condition on metadata is written `metadata.address.city=Paris`; its value is JSON where it
    parses, else text.
    """

    created_after: Bound | UnsetType = UNSET
    created_before: Bound | UnsetType = UNSET
    metadata: dict[str, str] = {}

    @property
    def is_bounded(self) -> bool:
        """See ListQuery; conditions without an index have no bound."""
        is_dated = self.created_after is not UNSET or self.created_before is not UNSET
        return not (is_dated or self.metadata) and super().is_bounded
