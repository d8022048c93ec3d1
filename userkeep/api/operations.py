"""The table of native operations: all that the native interface can do, a line each."""

from typing import Any, Literal

import msgspec

from userkeep.api import wire
from userkeep.domain.message import MessageChange
from userkeep.domain.session import NewSession, SessionChange
from userkeep.domain.user import NewUser, UserChange, UserFields


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        name: noun and verb; the function that performs it has the same name.
        method, path: where it is on HTTP; `{names}` in the path are ids, any text.
        summary, description: for readers: a title, and what else they should know.
        does: `read`s, `write`s, starts a `job` (a resource that may outlive the response), or
            `verify`s (reads all there is, which may take minutes).
        response: the type of what comes back, with `status` where it went well.
        body, query: the types of what is sent.
        status: of success on HTTP.
        is_conditional: whether `If-Match` with a revision is understood.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    description: str = ""
    does: Literal["read", "write", "job", "verify"]
    response: Any
    body: Any = None
    query: Any = None
    status: int = 200
    is_conditional: bool = False

    @property
    def noun(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]

    @property
    def is_idempotent_by_key(self) -> bool:
        """Whether an `Idempotency-Key` makes it safe to send again."""
        return self.method == "POST" and self.does == "write"

    @property
    def is_bounded(self) -> bool:
        """Whether every call is bounded by an index and a small page, if its query says no more."""
        return self.body is None or self.does != "read"


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="users.add",
        method="POST",
        path="/v1/users",
        summary="Add a user",
        does="write",
        body=NewUser,
        response=wire.User,
        status=201,
    ),
    Operation(
        name="users.list",
        method="GET",
        path="/v1/users",
        summary="List users",
        description="In the order of their creation.",
        does="read",
        query=wire.ListUsers,
        response=wire.Page[wire.User],
    ),
    Operation(
        name="users.get",
        method="GET",
        path="/v1/users/{user_id}",
        summary="Read a user",
        does="read",
        response=wire.User,
    ),
    Operation(
        name="users.put",
        method="PUT",
        path="/v1/users/{user_id}",
        summary="Create or replace a user",
        description=(
            "201 where it was created, 200 where all that was said of the user was replaced."
        ),
        does="write",
        body=UserFields,
        response=wire.User,
        is_conditional=True,
    ),
    Operation(
        name="users.update",
        method="PATCH",
        path="/v1/users/{user_id}",
        summary="Change a user",
        description="What is absent stays, null removes, metadata merges as RFC 7396 says.",
        does="write",
        body=UserChange,
        response=wire.User,
        is_conditional=True,
    ),
    Operation(
        name="users.delete",
        method="DELETE",
        path="/v1/users/{user_id}",
        summary="Delete a user",
        description=(
            "With every session and message. What takes longer than 5 s is answered 202 and "
            "goes on; nothing of the user can be read by then."
        ),
        does="job",
        query=wire.DeleteQuery,
        response=wire.Erasure,
    ),
    Operation(
        name="users.sessions",
        method="GET",
        path="/v1/users/{user_id}/sessions",
        summary="List a user's sessions",
        does="read",
        query=wire.FilteredList,
        response=wire.Page[wire.Session],
    ),
    Operation(
        name="sessions.add",
        method="POST",
        path="/v1/sessions",
        summary="Open a session",
        description="For a user, or for nobody yet; without a session_id the server makes one.",
        does="write",
        body=NewSession,
        response=wire.Session,
        status=201,
    ),
    Operation(
        name="sessions.list",
        method="GET",
        path="/v1/sessions",
        summary="List sessions",
        description="In the order of their creation.",
        does="read",
        query=wire.ListSessions,
        response=wire.Page[wire.Session],
    ),
    Operation(
        name="sessions.get",
        method="GET",
        path="/v1/sessions/{session_id}",
        summary="Read a session",
        does="read",
        response=wire.Session,
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
        response=wire.Session,
        is_conditional=True,
    ),
    Operation(
        name="sessions.end",
        method="POST",
        path="/v1/sessions/{session_id}/end",
        summary="End a session",
        description="Nothing can be appended after. Ending it again changes nothing.",
        does="write",
        response=wire.Session,
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
        query=wire.DeleteQuery,
        response=wire.Erasure,
    ),
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
        body=wire.AppendMessages,
        response=wire.Messages,
        status=201,
    ),
    Operation(
        name="messages.list",
        method="GET",
        path="/v1/sessions/{session_id}/messages",
        summary="List messages",
        description="In their order.",
        does="read",
        query=wire.FilteredList,
        response=wire.Page[wire.Message],
    ),
    Operation(
        name="messages.get",
        method="GET",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Read a message",
        does="read",
        response=wire.Message,
    ),
    Operation(
        name="messages.update",
        method="PATCH",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Edit a message",
        description="Its role, its content, its metadata (which merges as RFC 7396 says).",
        does="write",
        body=MessageChange,
        response=wire.Message,
    ),
    Operation(
        name="messages.delete",
        method="DELETE",
        path="/v1/sessions/{session_id}/messages/{uuid}",
        summary="Delete a message",
        does="job",
        query=wire.DeleteQuery,
        response=wire.Erasure,
    ),
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
        body=wire.Search,
        response=wire.Hits,
    ),
    Operation(
        name="memory.get",
        method="GET",
        path="/v1/sessions/{session_id}/memory",
        summary="Read the memory of a session",
        description="What the next prompt needs: the newest messages, oldest first.",
        does="read",
        query=wire.GetMemory,
        response=wire.Memory,
    ),
    Operation(
        name="erasures.list",
        method="GET",
        path="/v1/erasures",
        summary="List erasures",
        description="In the order of their acceptance.",
        does="read",
        query=wire.ListQuery,
        response=wire.Page[wire.Erasure],
    ),
    Operation(
        name="erasures.get",
        method="GET",
        path="/v1/erasures/{id}",
        summary="Read an erasure",
        does="read",
        response=wire.Erasure,
    ),
    Operation(
        name="erasures.purge",
        method="POST",
        path="/v1/erasures/{id}/purge",
        summary="Purge an erasure now",
        description=(
            "Writes the files anew without what was deleted, at once, whatever the purge window; "
            "202 where that takes longer than 5 s. To ask again does no harm."
        ),
        does="job",
        response=wire.Erasure,
    ),
    Operation(
        name="erasures.verify",
        method="POST",
        path="/v1/erasures/{id}/verify",
        summary="Verify an erasure",
        description=(
            "Looks again for what was deleted: in every row, and in the bytes of the database's "
            "files where they can be read. It changes nothing, and may take minutes: a second for "
            "every 50 MiB or so. 409 while the erasure goes on. Until it is `purged`, its texts "
            "are found in the files."
        ),
        does="verify",
        body=wire.VerifyErasure,
        response=wire.Verification,
    ),
)
