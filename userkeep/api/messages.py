"""Messages: wire types and operations."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import (
    Bound,
    FilteredList,
    JsonObject,
    Moment,
    Owner,
    Page,
    Revision,
    SessionQuery,
)
from userkeep.api.encoding import Encodable
from userkeep.api.erasures import DeleteInSessionQuery, Erasure
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import AlreadyExists, Conflict, QuotaExceeded
from userkeep.domain.message import MAX_BATCH, MessageChange, NewMessage, Role

Omittable = Literal["content", "data", "metadata"]
"""The fields of a message that a response can leave out."""

OmitText = Annotated[
    str,
    Meta(
        description="Fields of each message that are left out, separated by commas: `content`, "
        "`data`, `metadata`.",
        examples=["content,data"],
    ),
]


class Message(Encodable, msgspec.Struct, kw_only=True):
    """A message of a session.

    `content`, `data` and `metadata` are absent if the request leaves them out with `omit`. In
    Python they are `msgspec.UNSET` then.
    """

    seq: Annotated[int, Meta(description="The position in the session, from 1.")]
    id: Annotated[str, Meta(description="Yours, unique in the session, or a uuid of the server.")]
    role: Annotated[Role, Meta(description="The role for a language model.")]
    name: Annotated[str | None, Meta(description="Who speaks: any text.")]
    # Typed as always present, for the callers that leave nothing out.
    content: Annotated[str, Meta(description="Empty only where there is data.")] = UNSET  # type: ignore[assignment]
    data: Annotated[Any, Meta(description="Your JSON, returned byte for byte.")] = UNSET
    metadata: JsonObject | None = UNSET  # type: ignore[assignment]
    token_count: Annotated[
        int | None, Meta(description="Your count; the server does not count tokens.")
    ]
    created_at: Moment
    edited_at: Annotated[Moment | None, Meta(description="When it was last changed.")]
    revision: Revision


class Messages(msgspec.Struct, kw_only=True):
    """The appended messages, in order."""

    session_id: str
    messages: list[Message]


class AppendMessages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to append, all or none.

    With `user_id`, a session that does not exist is created for this user, and so is the user.
    """

    messages: Annotated[list[NewMessage], Meta(min_length=1, max_length=MAX_BATCH)]
    user_id: str | None = None
    create: Annotated[
        bool, Meta(description="Whether `user_id` may create the session and the user.")
    ] = True


AfterSeq = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Only messages after this seq.")]
BeforeSeq = Annotated[int, Meta(ge=0, le=2**63 - 1, description="Only messages before this seq.")]


class ListMessages(FilteredList, kw_only=True):
    """Parameters of the list of a session's messages."""

    user_id: Owner = None
    after_seq: AfterSeq | UnsetType = UNSET
    before_seq: BeforeSeq | UnsetType = UNSET
    created_after: Bound | UnsetType = UNSET
    created_before: Bound | UnsetType = UNSET
    role: Annotated[Role, Meta(description="Only messages of this role.")] | UnsetType = UNSET
    omit: OmitText = ""

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited; with conditions that have no index it is not."""
        unindexed = (self.created_after, self.created_before, self.role)
        return all(each is UNSET for each in unindexed) and super().is_bounded


class DeleteMessagesQuery(DeleteInSessionQuery, kw_only=True):
    """Parameters of the deletion of messages."""

    after_seq: Annotated[
        int,
        Meta(ge=0, le=2**63 - 1, description="The last message to keep; 0 keeps none."),
    ]


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="messages.append",
        method="POST",
        path="/v1/sessions/{session_id}/messages",
        summary="Append messages",
        description=(
            "1 to 1,000 messages, all or none. With user_id, a session that does not exist is "
            "created for this user, and so is the user; not if create is false, nor for 24 hours "
            "after a session of this id was deleted (410): add the session to use its id again. "
            "Without user_id, an unknown session is 404, as is a session of another user."
        ),
        does="write",
        scope="write",
        is_for_users=True,
        body=AppendMessages,
        response=Messages,
        status=201,
        errors=(AlreadyExists, Conflict, QuotaExceeded),
    ),
    APIOperation(
        name="messages.list",
        method="GET",
        path="/v1/sessions/{session_id}/messages",
        summary="List messages",
        description=(
            "In the order of seq. after_seq with the last seq that you have returns what is newer, "
            "before_seq with order=-created what is older."
        ),
        does="read",
        scope="read",
        is_for_users=True,
        query=ListMessages,
        response=Page[Message],
    ),
    APIOperation(
        name="messages.get",
        method="GET",
        path="/v1/sessions/{session_id}/messages/{id}",
        summary="Get a message",
        does="read",
        scope="read",
        is_for_users=True,
        query=SessionQuery,
        response=Message,
    ),
    APIOperation(
        name="messages.update",
        method="PATCH",
        path="/v1/sessions/{session_id}/messages/{id}",
        summary="Update a message",
        description=(
            "Changes role, name, content, data, token_count or metadata, which is merged (RFC "
            "7396): for example when the text of a streamed message is complete."
        ),
        does="write",
        scope="write",
        is_for_users=True,
        query=SessionQuery,
        body=MessageChange,
        response=Message,
        is_conditional=True,
        errors=(QuotaExceeded,),
    ),
    APIOperation(
        name="messages.delete",
        method="DELETE",
        path="/v1/sessions/{session_id}/messages/{id}",
        summary="Delete a message",
        does="job",
        scope="write",
        is_for_users=True,
        query=DeleteInSessionQuery,
        response=Erasure,
    ),
    APIOperation(
        name="messages.delete_after",
        method="DELETE",
        path="/v1/sessions/{session_id}/messages",
        summary="Delete the messages after a seq",
        description=(
            "All messages with a greater seq disappear together; with after_seq=0, all of the "
            "session, which stays. The erasure has their number. If the deletion takes longer "
            "than 5 seconds, the response is 202, and the deletion continues."
        ),
        does="job",
        scope="write",
        is_for_users=True,
        query=DeleteMessagesQuery,
        response=Erasure,
    ),
)
