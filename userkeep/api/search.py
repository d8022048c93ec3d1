"""Search: the types that travel, and the operation."""

from typing import Annotated

import msgspec
from msgspec import Meta

from userkeep.api.common import Bound, Filter
from userkeep.api.messages import Message
from userkeep.api.operation import Operation
from userkeep.domain.message import RoleType
from userkeep.domain.values.paging import MAX_LIMIT


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


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="messages.search",
        method="POST",
        path="/v1/search",
        summary="Search messages",
        description=(
            "By words, best first: in a user's sessions, in one session, or in all. What was "
            "appended is found as soon as the append is answered."
        ),
        does="read",
        body=Search,
        response=Hits,
    ),
)
