"""Users: wire types and operations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from userkeep.api.common import (
    DatedList,
    JsonObject,
    Moment,
    Page,
    Revision,
    Uuid,
)
from userkeep.api.encoding import Encodable
from userkeep.api.erasures import DeleteQuery, Erasure
from userkeep.api.operation import APIOperation
from userkeep.api.sessions import Session, SessionList
from userkeep.domain.errors import AlreadyExists, Conflict
from userkeep.domain.search.beginnings import parse_beginnings
from userkeep.domain.user import NewUser, UserChange, UserFields
from userkeep.domain.user_token import DEFAULT_LIFETIME_S, MAX_LIFETIME_S, TokenScope


class User(Encodable, msgspec.Struct, kw_only=True):
    """A user of your app."""

    user_id: Annotated[str, Meta(description="Your id of the user.")]
    uuid: Uuid
    email: str | None
    first_name: str | None
    last_name: str | None
    metadata: JsonObject | None
    do_not_embed: Annotated[
        bool, Meta(description="Whether no embedding model is given any text of the user.")
    ] = False
    revision: Revision
    created_at: Moment
    updated_at: Moment


class ListUsers(DatedList, kw_only=True):
    """Parameters of the list of users."""

    email: (
        Annotated[
            str,
            Meta(description="Ignores case, blanks around it, and how accents are composed."),
        ]
        | None
    ) = None

    @property
    def needs_user_words(self) -> bool:
        """Whether it is faster if the instance keeps the words of users.

        Raises:
            InvalidField: `q` is invalid.
        """
        return bool(parse_beginnings(self.q))


class UserToken(Encodable, msgspec.Struct, kw_only=True):
    """A user token, which a browser sends in place of a key."""

    token: Annotated[str, Meta(description="A JSON Web Token. Send it as `Authorization: Bearer`.")]
    user_id: str
    scope: TokenScope
    expires_at: Moment


class TokenQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a user token."""

    scope: Annotated[
        TokenScope, Meta(description="What the token permits: to read, or to write too.")
    ] = "write"
    lifetime_seconds: Annotated[
        int, Meta(ge=1, le=MAX_LIFETIME_S, description="For how long the token is valid.")
    ] = DEFAULT_LIFETIME_S

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited: one row is found by its key."""
        return True


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="users.add",
        method="POST",
        path="/v1/users",
        summary="Create a user",
        description="Returns 409 if a user with this id exists.",
        does="write",
        scope="write",
        body=NewUser,
        response=User,
        status=201,
        errors=(AlreadyExists,),
    ),
    APIOperation(
        name="users.list",
        method="GET",
        path="/v1/users",
        summary="List users",
        description="Oldest first; newest first with order=-created.",
        does="read",
        scope="read",
        query=ListUsers,
        response=Page[User],
    ),
    APIOperation(
        name="users.get",
        method="GET",
        path="/v1/users/{user_id}",
        summary="Get a user",
        does="read",
        scope="read",
        is_for_users=True,
        response=User,
    ),
    APIOperation(
        name="users.put",
        method="PUT",
        path="/v1/users/{user_id}",
        summary="Create or replace a user",
        description=(
            "Returns 201 if the user was created, and 200 if all fields of an existing user were "
            "replaced."
        ),
        does="write",
        scope="write",
        body=UserFields,
        response=User,
        is_conditional=True,
    ),
    APIOperation(
        name="users.update",
        method="PATCH",
        path="/v1/users/{user_id}",
        summary="Update a user",
        description=(
            "Absent fields keep their value, null removes a value, and metadata is merged "
            "(RFC 7396)."
        ),
        does="write",
        scope="write",
        body=UserChange,
        response=User,
        is_conditional=True,
    ),
    APIOperation(
        name="users.delete",
        method="DELETE",
        path="/v1/users/{user_id}",
        summary="Delete a user",
        description=(
            "All sessions and messages of the user are deleted too. They are unreachable as soon "
            "as the response is sent. If the deletion takes longer than 5 seconds, the response is "
            "202, and the deletion continues. Sessions without a user are not deleted; "
            "`sessions_without_user` counts them."
        ),
        does="job",
        scope="write",
        query=DeleteQuery,
        response=Erasure,
    ),
    APIOperation(
        name="users.sessions",
        method="GET",
        path="/v1/users/{user_id}/sessions",
        summary="List the sessions of a user",
        description=(
            "Oldest first; newest first with order=-created. With order=-active, those with the "
            "newest messages first."
        ),
        does="read",
        scope="read",
        is_for_users=True,
        query=SessionList,
        response=Page[Session],
    ),
    APIOperation(
        name="users.token",
        method="POST",
        path="/v1/users/{user_id}/token",
        summary="Make a user token",
        description=(
            "For a browser or an agent: the token permits what a key that is bound to the user "
            "does, for a short time. It ends with the key that made it, and with the user."
        ),
        does="read",
        scope="write",
        query=TokenQuery,
        response=UserToken,
        errors=(Conflict,),
    ),
)
