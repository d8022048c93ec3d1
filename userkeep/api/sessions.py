"""Sessions: the types that travel, and the operations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from userkeep.api.common import DatedList, JsonObject, Moment, Page, Revision, Uuid
from userkeep.api.erasures import DeleteQuery, Erasure
from userkeep.api.operation import Operation
from userkeep.domain.session import NewSession, SessionChange


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


class ListSessions(DatedList, kw_only=True):
    """Which sessions."""

    user_id: str | None = None


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="sessions.add",
        method="POST",
        path="/v1/sessions",
        summary="Open a session",
        description="For a user, or for nobody yet; without a session_id the server makes one.",
        does="write",
        body=NewSession,
        response=Session,
        status=201,
    ),
    Operation(
        name="sessions.list",
        method="GET",
        path="/v1/sessions",
        summary="List sessions",
        description="In the order of their creation.",
        does="read",
        query=ListSessions,
        response=Page[Session],
    ),
    Operation(
        name="sessions.get",
        method="GET",
        path="/v1/sessions/{session_id}",
        summary="Read a session",
        does="read",
        response=Session,
    ),
    Operation(
        name="sessions.update",
        method="PATCH",
        path="/v1/sessions/{session_id}",
        summary="Change a session",
        description=(
            "Its metadata merges as RFC 7396 says; an owner can be given where there is none."
        ),
        does="write",
        body=SessionChange,
        response=Session,
        is_conditional=True,
    ),
    Operation(
        name="sessions.end",
        method="POST",
        path="/v1/sessions/{session_id}/end",
        summary="End a session",
        description="Nothing can be appended after. Ending it again changes nothing.",
        does="write",
        response=Session,
    ),
    Operation(
        name="sessions.delete",
        method="DELETE",
        path="/v1/sessions/{session_id}",
        summary="Delete a session",
        description=(
            "With all its messages. What takes longer than 5 s is answered 202 and goes on."
        ),
        does="job",
        query=DeleteQuery,
        response=Erasure,
    ),
)
