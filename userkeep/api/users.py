"""Users: the types that travel, and the operations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from userkeep.api.common import (
    DatedList,
    FilteredList,
    JsonObject,
    Moment,
    Page,
    Revision,
    Uuid,
)
from userkeep.api.erasures import DeleteQuery, Erasure
from userkeep.api.operation import Operation
from userkeep.api.sessions import Session
from userkeep.domain.user import NewUser, UserChange, UserFields


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


class ListUsers(DatedList, kw_only=True):
    """Which users: `email` is compared without regard to case."""

    email: Annotated[str, Meta(description="In any case.")] | None = None


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="users.add",
        method="POST",
        path="/v1/users",
        summary="Add a user",
        does="write",
        body=NewUser,
        response=User,
        status=201,
    ),
    Operation(
        name="users.list",
        method="GET",
        path="/v1/users",
        summary="List users",
        description="In the order of their creation.",
        does="read",
        query=ListUsers,
        response=Page[User],
    ),
    Operation(
        name="users.get",
        method="GET",
        path="/v1/users/{user_id}",
        summary="Read a user",
        does="read",
        response=User,
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
        response=User,
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
        response=User,
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
        query=DeleteQuery,
        response=Erasure,
    ),
    Operation(
        name="users.sessions",
        method="GET",
        path="/v1/users/{user_id}/sessions",
        summary="List a user's sessions",
        does="read",
        query=FilteredList,
        response=Page[Session],
    ),
)
