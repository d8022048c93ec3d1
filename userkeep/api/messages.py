"""Messages: the types that travel, and the operations."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from userkeep.api.common import FilteredList, JsonObject, Moment, Page
from userkeep.api.erasures import DeleteQuery, Erasure
from userkeep.api.operation import Operation
from userkeep.domain.message import MessageChange, NewMessage, RoleType

MAX_BATCH = 1000


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


class AppendMessages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Messages to append, all or none.

    With `user_id`, an unknown session is opened for that user, and an unknown user is added.
    """

    messages: Annotated[list[NewMessage], Meta(min_length=1, max_length=MAX_BATCH)]
    user_id: str | None = None


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="messages.append",
        method="POST",
        path="/v1/sessions/{session_id}/messages",
        summary="Append messages",
        description=(
            "From 1 to 1,000, all or none. With user_id, an unknown session is opened for "
            "that user, and an unknown user is added; without it, an unknown session is 404."
        ),
        does="write",
        body=AppendMessages,
        response=Messages,
        status=201,
    ),
    Operation(
        name="messages.list",
        method="GET",
        path="/v1/sessions/{session_id}/messages",
        summary="List messages",
        description="In their order.",
        does="read",
        query=FilteredList,
        response=Page[Message],
    ),
    Operation(
        name="messages.get",
        method="GET",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Read a message",
        does="read",
        response=Message,
    ),
    Operation(
        name="messages.update",
        method="PATCH",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Edit a message",
        description="Its role, its content, its metadata (which merges as RFC 7396 says).",
        does="write",
        body=MessageChange,
        response=Message,
    ),
    Operation(
        name="messages.delete",
        method="DELETE",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Delete a message",
        does="job",
        query=DeleteQuery,
        response=Erasure,
    ),
)
