"""Search: wire types and the operation."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import Bound, Filter
from userkeep.api.encoding import Encodable
from userkeep.api.messages import Message, Omittable
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import NotFound
from userkeep.domain.message import Role
from userkeep.domain.search.meaning import DegradedReason, SearchMode
from userkeep.domain.values.paging import MAX_LIMIT


class FoundMessage(Message, kw_only=True):
    """A message with its session."""

    session_id: str


class Mark(Encodable, msgspec.Struct, kw_only=True):
    """The position of a matched word in a snippet."""

    start: Annotated[int, Meta(description="In Unicode code points, from 0.")]
    end: Annotated[int, Meta(description="Exclusive.")]


class Snippet(Encodable, msgspec.Struct, kw_only=True):
    """The part of a message that matches the query."""

    text: str
    marks: list[Mark]


class WordScore(Encodable, msgspec.Struct, kw_only=True):
    """The contribution of a word of the query to the score."""

    word: Annotated[str, Meta(description="The word as it is in the query.")]
    score: float
    seq: Annotated[
        int, Meta(description="The message that contains the word: this one, or one near it.")
    ]


class MeaningScore(Encodable, msgspec.Struct, kw_only=True):
    """The contribution of a message's meaning to the score."""

    score: Annotated[
        float,
        Meta(description="From 0 to 1: 1 for the message that is nearest to the query."),
    ]
    seq: Annotated[
        int, Meta(description="The message that is near to it: this one, or one near it.")
    ]


class Explanation(Encodable, msgspec.Struct, kw_only=True):
    """How the score was computed: the sum of the words and the meaning, times the weights."""

    words: Annotated[list[WordScore], Meta(description="Highest score first.")]
    participant: Annotated[
        str | None,
        Meta(
            description="The author, if the query has a word of the name. Multiplies the score "
            "by 2."
        ),
    ]
    date: Annotated[
        str | None,
        Meta(description="The date that the query names, if it matches. Multiplies by 1.5."),
    ]
    role_weight: Annotated[float, Meta(description="The weight of the role.")]
    words_score: Annotated[
        float | UnsetType,
        Meta(
            description="The sum of the words, from 0 to 1: 1 for the best match by words; twice "
            "that for a message without an embedding. Only if meaning was compared."
        ),
    ] = UNSET
    meaning: Annotated[
        MeaningScore | None | UnsetType,
        Meta(
            description="Only if meaning was compared. Null if that contributes nothing, as for a "
            "message without an embedding."
        ),
    ] = UNSET


class FoundSession(Encodable, msgspec.Struct, kw_only=True):
    """The session of a message."""

    session_id: str
    title: str | None
    user_id: str | None


class Hit(Encodable, msgspec.Struct, kw_only=True):
    """A message that matches the query."""

    message: FoundMessage
    score: Annotated[
        float,
        Meta(description="Higher is better. Comparable only within a response; 0 without a query."),
    ]
    snippet: Snippet
    explanation: Annotated[Explanation | None, Meta(description="Only with `explain`.")] = None
    session: Annotated[
        FoundSession | None, Meta(description='Only with `include: ["session"]`.')
    ] = None


class ExplainedQuery(Encodable, msgspec.Struct, kw_only=True):
    """What was searched for."""

    words: Annotated[
        list[str],
        Meta(description="The words of the query, as it has them, without those excluded by -."),
    ]
    note: Annotated[
        str | None,
        Meta(description="Why nothing can be found, if no word is left of the query; else null."),
    ]
    mode: Annotated[
        SearchMode | UnsetType,
        Meta(
            description="What was compared: `auto` means words and meaning. Only if the server has "
            "an embedding model."
        ),
    ] = UNSET
    embedded: Annotated[
        str | UnsetType,
        Meta(
            description="The text whose meaning was compared: the query without names of "
            "participants. Only if meaning was compared."
        ),
    ] = UNSET


class Degraded(Encodable, msgspec.Struct, kw_only=True):
    """Why words alone were compared."""

    reason: Annotated[DegradedReason, Meta(description="For programs.")]
    detail: Annotated[str, Meta(description="A sentence.")]


class Hits(Encodable, msgspec.Struct, kw_only=True):
    """The results of a search, best first."""

    items: list[Hit]
    degraded: Annotated[
        Degraded | UnsetType,
        Meta(
            description="Only if words alone were compared, although meaning was to be compared "
            "too."
        ),
    ] = UNSET
    query: Annotated[
        ExplainedQuery | None | UnsetType,
        Meta(description="Only with `explain`. Null if the search has no query."),
    ] = UNSET


Roles = Annotated[
    list[Role],
    Meta(
        min_length=1,
        max_length=len(get_args(Role)),
        description="Search only messages with these roles.",
    ),
]

RoleWeight = Annotated[float, Meta(ge=0, le=1000)]


class Search(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A search in the messages of a user, of a session, or of the whole project.

    Without `query`, or with a blank one, it returns the newest messages.
    """

    query: Annotated[
        str | None, Meta(description="Words or a question, up to 10,000 characters.")
    ] = None
    syntax: Annotated[
        Literal["plain", "web"],
        Meta(
            description='With `web`, the query can have `"phrases"`, `-excluded` words and the '
            "beginnings of words (`begin*`)."
        ),
    ] = "plain"
    mode: Annotated[
        SearchMode,
        Meta(
            description="What is compared: `words`, `meaning`, or both (`auto`). `meaning` and "
            "`auto` need an embedding model on the server. Where it cannot be used, words alone "
            "are compared, and the response has `degraded`."
        ),
    ] = "auto"
    user_id: str | None = None
    session_id: Annotated[
        str | None, Meta(description="With `user_id`, it must be a session of this user.")
    ] = None
    filter: Filter | None = None
    created_after: Bound | None = None
    created_before: Bound | None = None
    roles: Roles | None = None
    role_weights: Annotated[
        dict[Role, RoleWeight],
        Meta(description="Factors of the score. The default is 1.5 for user, 1 for others."),
    ] = {}
    limit: Annotated[
        int, Meta(ge=1, le=MAX_LIMIT, description="The maximum number of results.")
    ] = 10
    offset: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_LIMIT,
            description="How many of the first results are left out. `offset` and `limit` are "
            f"together at most {MAX_LIMIT:,}.",
        ),
    ] = 0
    min_score: Annotated[float, Meta(ge=0, le=1e9, description="The lowest score of a result.")] = (
        0.0
    )
    context: Annotated[
        bool,
        Meta(
            description="Whether messages near a match are results too, with a lower score. False "
            "leaves out messages that were found only because of their neighbours."
        ),
    ] = True
    include: Annotated[
        list[Literal["session"]],
        Meta(max_length=1, description="What each result has besides: its `session`."),
    ] = []
    omit: Annotated[
        list[Omittable],
        Meta(
            max_length=len(get_args(Omittable)),
            description="Fields of each message that are left out. The snippet stays.",
        ),
    ] = []
    explain: Annotated[bool, Meta(description="Explain the score of each result.")] = False


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="messages.search",
        method="POST",
        path="/v1/search",
        summary="Search messages",
        description=(
            "Search by words and by meaning in the messages of a user, of a session, or of the "
            "whole project, best results first. A message can be found by its words as soon as the "
            "response to its append is sent. By its meaning it is found seconds later, if the "
            "server has an embedding model."
        ),
        does="read",
        scope="read",
        is_for_users=True,
        body=Search,
        response=Hits,
        errors=(NotFound,),
    ),
)
