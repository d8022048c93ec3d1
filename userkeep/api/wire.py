"""The types that travel: what a reader of the native interface gets, and what a list may ask.

What a writer sends are the inputs of the domain itself (`NewUser`, `SessionChange` …). On its way
out, JSON that nothing needs to look into (metadata, data) is passed on as the text that is stored:
`opaque` types such a text as what the reader makes of it.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.canaries import MAX_CANARIES, MAX_CANARY_LENGTH, MIN_CANARY_BYTES
from userkeep.domain.message import NewMessage, RoleType
from userkeep.domain.values.paging import DEFAULT_LIMIT, MAX_LIMIT, Order
from userkeep.domain.verification import MOST_RESIDUES

T = TypeVar("T")

SHORT_PAGE = 100
MAX_BATCH = 1000

Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many rows a page has at most.")]
Last = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many messages at most.")]
Cursor = Annotated[str, Meta(description="The `next` of the page before.")]
JsonObject = dict[str, Any]

# Read by domain.values.filters.read_filter, and described in http.openapi.
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


class FoundMessage(Message, kw_only=True):
    """A message, and the session it is in."""

    session_id: str


class Mark(msgspec.Struct, kw_only=True):
    """A matched word in a snippet."""

    start: Annotated[int, Meta(description="In code points of the snippet's text, from 0.")]
    end: Annotated[int, Meta(description="Exclusive.")]


class Snippet(msgspec.Struct, kw_only=True):
    """The part of a message that shows why it was found."""

    text: str
    marks: list[Mark]


class WordScore(msgspec.Struct, kw_only=True):
    """What a word of the query gives a message."""

    word: Annotated[str, Meta(description="As it was written.")]
    score: float
    seq: Annotated[int, Meta(description="Of the message that has it: this one, or one near it.")]


class Explanation(msgspec.Struct, kw_only=True):
    """How a score came about: what the words give, added up, times the weights."""

    words: Annotated[list[WordScore], Meta(description="The greatest part first.")]
    participant: Annotated[
        str | None, Meta(description="Whom the query names, where they said it: weighs 2.")
    ]
    date: Annotated[
        str | None, Meta(description="What the query names, where it was said then: weighs 1.5.")
    ]
    role_weight: Annotated[float, Meta(description="What its role_type weighs.")]


class Hit(msgspec.Struct, kw_only=True):
    """A message that was found."""

    message: FoundMessage
    score: Annotated[
        float,
        Meta(description="Greater is better, within one answer; 0 where there was no query."),
    ]
    snippet: Snippet
    explanation: Explanation | None = None


class Hits(msgspec.Struct, kw_only=True):
    """What was found, best first."""

    items: list[Hit]


class Memory(msgspec.Struct, kw_only=True):
    """What a reader gets for the next prompt: the newest messages, oldest first.

    `summary` is null and `facts` is empty until the server makes them.
    """

    messages: list[Message]
    summary: None = None
    facts: list[str] = []


class DeletedCounts(msgspec.Struct, kw_only=True):
    """How many rows of each kind an erasure has deleted so far."""

    users: int
    sessions: int
    messages: int


class NotDone(msgspec.Struct, kw_only=True):
    """A step of a purge that could not be done."""

    step: str
    why: str


class Purge(msgspec.Struct, kw_only=True):
    """How far the purge is, which writes the files anew without what was deleted."""

    asked_at: Annotated[
        Moment | None, Meta(description="When somebody asked for it at once; null once it ended.")
    ]
    doing: Annotated[str | None, Meta(description="What it does now; null while none runs.")]
    problem: Annotated[
        str | None, Meta(description="Why it does not get on; it is tried again by itself.")
    ]
    not_done: Annotated[
        list[NotDone],
        Meta(
            description="What it could not do here, such as for want of a right. The state stays "
            "`deleted` then, until a purge that is asked for, or is due for others, can do it."
        ),
    ]


class Erasure(msgspec.Struct, kw_only=True):
    """An erasure: the act of deleting a user, a session or a message.

    `subject_id` is there while it runs; what stays afterwards is the subject's uuid. When it is
    `deleted` no query finds anything of the subject; when it is `purged`, neither are its bytes in
    the database's files.
    """

    id: str
    subject: Literal["user", "session", "message"]
    subject_id: Annotated[str | None, Meta(description="While it runs; null afterwards.")]
    subject_uuid: str
    state: Literal["deleting", "deleted", "purged"]
    counts: DeletedCounts
    started_at: Moment
    deleted_at: Annotated[Moment | None, Meta(description="When the last row was gone.")]
    purged_at: Annotated[
        Moment | None, Meta(description="When nothing of it was in the files any more.")
    ]
    purge: Purge


class DeleteQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to delete."""

    purge: Annotated[
        Literal["now"] | None,
        Meta(description="Purge the files at once, and answer when it is done, or after 5 s."),
    ] = None


# Judged in domain.canaries, which says which one is at fault.
Canary = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_CANARY_LENGTH})]
Canaries = Annotated[
    list[Canary],
    Meta(
        description=(
            f"Texts of the subject to look for, up to {MAX_CANARIES} of up to "
            f"{MAX_CANARY_LENGTH:,} characters: an address, a name in full, a sentence. Each has "
            f"{MIN_CANARY_BYTES} bytes at least. They are neither kept nor logged."
        ),
        extra_json_schema={"maxItems": MAX_CANARIES},
    ),
]


class VerifyErasure(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to look for, once somebody was deleted, beside the uuid that the erasure knows."""

    subject_id: Annotated[
        str | None,
        Meta(description="The id that the subject had; of a message, that of its session."),
    ] = None
    canaries: Canaries = []


class Residue(msgspec.Struct, kw_only=True):
    """Something of the subject that is still there."""

    where: Annotated[
        str,
        Meta(
            description="A column of a table, or an offset in a file.",
            examples=["table messages.content", "file userkeep.db at 12345"],
        ),
    ]
    canary: Annotated[
        int | None,
        Meta(description="Its place in `canaries`, from 0; null: the subject's own id or uuid."),
    ]
    form: Annotated[str, Meta(description="As what it was found, such as `utf-8` or `base64`.")]


class LookedAt(msgspec.Struct, kw_only=True):
    """What was looked through from end to end."""

    what: Annotated[str, Meta(description="A table, a file, or the files in a folder.")]
    rows: Annotated[int | None, Meta(description="How many, of a table.")]
    size_bytes: Annotated[int | None, Meta(description="How many, of files.")]


class NotLookedAt(msgspec.Struct, kw_only=True):
    """What was not looked at, or could have proved nothing."""

    what: str
    why: str


class Verification(msgspec.Struct, kw_only=True):
    """What came of looking again for somebody who was deleted."""

    erasure: Erasure
    found: Annotated[bool, Meta(description="Whether anything of the subject is still there.")]
    hits: Annotated[
        list[Residue], Meta(description=f"Where; no more than {MOST_RESIDUES:,} of them.")
    ]
    hit_count: Annotated[int, Meta(description="How many there are in all.")]
    id_reused: Annotated[
        bool,
        Meta(description="Whether somebody new bears the id; what is theirs is no hit."),
    ]
    looked_at: list[LookedAt]
    not_looked_at: list[NotLookedAt]


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


Roles = Annotated[
    list[RoleType], Meta(min_length=1, description="Only what these role types said.")
]
RoleWeight = Annotated[float, Meta(ge=0, le=1000)]


class Search(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to search for, and where: among a user's messages, in a session, or in everything.

    Without `query`, the newest messages are found.
    """

    query: Annotated[
        str | None, Meta(description="Words, or a question; up to 10,000 characters.")
    ] = None
    user_id: str | None = None
    session_id: str | None = None
    filter: Filter | None = None
    created_after: Bound | None = None
    created_before: Bound | None = None
    roles: Roles | None = None
    role_weights: Annotated[
        dict[RoleType, RoleWeight],
        Meta(description="What a score is multiplied with; by itself, user weighs 1.5."),
    ] = {}
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many hits at most.")] = 10
    explain: Annotated[bool, Meta(description="Say of each hit how its score came about.")] = False


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


class ListUsers(DatedList, kw_only=True):
    """Which users: `email` is compared without regard to case."""

    email: Annotated[str, Meta(description="In any case.")] | None = None


class ListSessions(DatedList, kw_only=True):
    """Which sessions."""

    user_id: str | None = None


class GetMemory(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How much memory: the `last` so many messages, or the instance's window."""

    last: Last | UnsetType = UNSET

    @property
    def is_bounded(self) -> bool:
        """Whether an index and a small page bound the work."""
        return self.last is UNSET or self.last <= SHORT_PAGE
