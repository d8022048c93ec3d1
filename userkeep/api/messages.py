"""Messages: wire types and operations."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from userkeep.api.common import (
    FilteredList,
    JsonObject,
    Moment,
    Owner,
    Page,
    SessionQuery,
)
from userkeep.api.erasures import DeleteInSessionQuery, Erasure
from userkeep.api.operation import APIOperation
from userkeep.domain.message import MAX_BATCH, MessageChange, NewMessage, RoleType


class Message(msgspec.Struct, kw_only=True):
    """A message of a session."""

    seq: Annotated[int, Meta(description="The position in the session, from 1.")]
    uuid: str
    role: Annotated[str, Meta(description="Free text: the name of the author.")]
    role_type: Annotated[RoleType, Meta(description="The role for a language model.")]
    content: str
    metadata: JsonObject | None
    data: Annotated[Any, Meta(description="Your JSON, returned byte for byte.")]
    token_count: Annotated[
        int | None, Meta(description="Your count; the server does not count tokens.")
    ]
    created_at: Moment


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


class ListMessages(FilteredList, kw_only=True):
    """Parameters of the list of messages."""

    user_id: Owner = None


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
        body=AppendMessages,
        response=Messages,
        status=201,
    ),
    APIOperation(
        name="messages.list",
        method="GET",
        path="/v1/sessions/{session_id}/messages",
        summary="List messages",
        description="In the order of seq.",
        does="read",
        query=ListMessages,
        response=Page[Message],
    ),
    APIOperation(
        name="messages.get",
        method="GET",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Get a message",
        does="read",
        query=SessionQuery,
        response=Message,
    ),
    APIOperation(
        name="messages.update",
        method="PATCH",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Update a message",
        description="Changes role, content or metadata, which is merged (RFC 7396).",
        does="write",
        query=SessionQuery,
        body=MessageChange,
        response=Message,
    ),
    APIOperation(
        name="messages.delete",
        method="DELETE",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Delete a message",
        does="job",
        query=DeleteInSessionQuery,
        response=Erasure,
    ),
)
