"""The types that travel: what a reader of the native interface gets, and what a list may ask.

What a writer sends are the inputs of the domain itself (`NewUser`, `SessionChange` …). On its way
out, JSON that nothing needs to look into (metadata, data) is passed on as the text that is stored:
`opaque` types such a text as what the reader makes of it.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recollect.domain.message import NewMessage, RoleType
from recollect.domain.paging import DEFAULT_LIMIT, MAX_LIMIT, Order

T = TypeVar("T")

SHORT_PAGE = 100
MAX_BATCH = 1000

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many rows a page has at most.")]
Last = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many messages at most.")]
Cursor = Annotated[str, Meta(description="The `next` of the page before.")]
JsonObject = dict[str, Any]

_DATE_TIME = {"format": "date-time"}
Moment = Annotated[datetime, Meta(extra_json_schema=_DATE_TIME)]
Bound = Annotated[
    datetime, Meta(description="Exclusive; without a zone UTC.", extra_json_schema=_DATE_TIME)
]
Uuid = Annotated[str, Meta(description="The server's own; distinguishes namesakes.")]
Revision = Annotated[
    int, Meta(description="Counts changes of the fields, from 1; also the ETag, for If-Match.")
]


def opaque(stored: str | None) -> Any:
    """Stored JSON text as it travels: its bytes go out unread."""
    return None if stored is None else msgspec.Raw(stored)


class User(msgspec.Struct, kw_only=True):
    """A user: one of the people an app talks to."""

    user_id: Annotated[str, Meta(description="The caller's own.")]
    uuid: Uuid
    email: str | None
    first_name: str | None
    last_name: str | None
    metadata: JsonObject | None
    revision: Revision
    created_at: Moment
    updated_at: Moment


class Session(msgspec.Struct, kw_only=True):
    """A session: one conversation."""

    session_id: Annotated[str, Meta(description="The caller's own, or made by the server.")]
    uuid: Uuid
    user_id: Annotated[str | None, Meta(description="The owner; set once, never changed.")]
    metadata: JsonObject | None
    message_count: int
    ended_at: Annotated[
        Moment | None, Meta(description="Nothing can be appended to a session that has ended.")
    ]
    revision: Revision
    created_at: Moment
    updated_at: Moment


class Message(msgspec.Struct, kw_only=True):
    """A message: one turn in a session."""

    seq: Annotated[int, Meta(description="The order of the messages in their session, from 1.")]
    uuid: str
    role: Annotated[str, Meta(description="Free text: who says it.")]
    role_type: Annotated[RoleType, Meta(description="What the role means to a model.")]
    content: str
    metadata: JsonObject | None
    data: Annotated[Any, Meta(description="Opaque JSON, as the bytes that came.")]
    token_count: Annotated[int | None, Meta(description="The caller's count.")]
    created_at: Moment


class Messages(msgspec.Struct, kw_only=True):
    """The messages that were appended, in their order."""

    session_id: str
    messages: list[Message]


class Memory(msgspec.Struct, kw_only=True):
    """What a reader gets for the next prompt: the newest messages, oldest first.

    `summary` is null and `facts` is empty until the server makes them.
    """

    messages: list[Message]
    summary: None = None
    facts: list[str] = []


class ErasedCounts(msgspec.Struct, kw_only=True):
    """How many rows of each kind an erasure has erased so far."""

    users: int
    sessions: int
    messages: int


class Erasure(msgspec.Struct, kw_only=True):
    """An erasure: the act of forgetting a user, a session or a message.

    `subject_id` is there while it runs; what stays afterwards is the subject's uuid.
    """

    id: str
    subject: Literal["user", "session", "message"]
    subject_id: Annotated[str | None, Meta(description="While it runs; null afterwards.")]
    subject_uuid: str
    state: Literal["erasing", "erased"]
    counts: ErasedCounts
    started_at: Moment
    erased_at: Annotated[Moment | None, Meta(description="When the last row was gone.")]


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A page of a list; `next` leads to the one after, and is null on the last."""

    items: list[T]
    next: str | None


class AppendMessages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to append, all or none.

    With `user_id`, an unknown session is opened for that user, and an unknown user is added.
    """

    messages: Annotated[list[NewMessage], Meta(min_length=1, max_length=MAX_BATCH)]
    user_id: str | None = None


class ListQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None
    order: Order = "created"

    @property
    def is_short(self) -> bool:
        """Whether an index and a small page bound the work."""
        return self.limit <= SHORT_PAGE


class DatedList(ListQuery, kw_only=True):
    """A list of what has a date and metadata.

    A condition on metadata is written `metadata.address.city=Paris`; its value is JSON where it
    parses, else text.
    """

    created_after: Bound | UnsetType = UNSET
    created_before: Bound | UnsetType = UNSET
    metadata: dict[str, str] = {}

    @property
    def is_short(self) -> bool:
        """See ListQuery; conditions without an index have no bound."""
        is_indexed = not (self.created_after or self.created_before or self.metadata)
        return is_indexed and self.limit <= SHORT_PAGE


class ListUsers(DatedList, kw_only=True):
    """Which users: `email` is compared without regard to case."""

    email: Annotated[str, Meta(description="In any case.")] | None = None


class ListSessions(DatedList, kw_only=True):
    """Which sessions."""

    user_id: str | None = None


class GetMemory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much memory: the `last` so many messages, or the installation's window."""

    last: Last | UnsetType = UNSET

    @property
    def is_short(self) -> bool:
        """Whether an index and a small page bound the work."""
        return self.last is UNSET or self.last <= SHORT_PAGE
