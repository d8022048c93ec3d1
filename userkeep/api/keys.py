"""API keys: wire types and operations."""

from typing import Annotated

import msgspec
from msgspec import Meta

from userkeep.api.common import ListQuery, Moment, Page
from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import Conflict, NotFound
from userkeep.domain.key import DEFAULT_OVERLAP_HOURS, MAX_OVERLAP_HOURS, NewKey, Permission

ProjectName = Annotated[
    str | None,
    Meta(
        description="The project of the key: by default your own. Only an admin key of the project "
        "`default` can name another one."
    ),
]


class Key(Encodable, msgspec.Struct, kw_only=True):
    """An API key, without its text."""

    id: Annotated[str, Meta(description="The part of the key between its underscores.")]
    name: str | None
    scope: Permission
    user_id: Annotated[str | None, Meta(description="The only user that exists for the key.")]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Annotated[
        Moment | None, Meta(description="The time of the last request, about a minute old.")
    ]
    revoked_at: Moment | None
    former_expires_at: Annotated[
        Moment | None,
        Meta(description="Until when the text that the key had before its rotation is valid."),
    ]


class KeyWithText(Key, kw_only=True):
    """An API key with its text, which is shown only once."""

    key: Annotated[str, Meta(description="Store it as a secret: it is not shown again.")]


class CreateKey(NewKey, kw_only=True):
    """A key to create."""

    project: ProjectName = None


class KeyQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an operation on a key."""

    project: ProjectName = None

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited: one row is found by its key."""
        return True


class RotateQuery(KeyQuery, kw_only=True):
    """Parameters of a rotation."""

    overlap_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_OVERLAP_HOURS,
            description="For how long the former text stays valid, in hours.",
        ),
    ] = DEFAULT_OVERLAP_HOURS


class ListKeys(ListQuery, kw_only=True):
    """Parameters of the list of keys."""

    project: ProjectName = None


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="keys.add",
        method="POST",
        path="/v1/keys",
        summary="Create an API key",
        description=(
            "The text of the key is in this response only. From the first key on, the server asks "
            "every request for one; so the first one must have the scope admin."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        returns_secret=True,
        body=CreateKey,
        response=KeyWithText,
        status=201,
        errors=(NotFound,),
    ),
    APIOperation(
        name="keys.list",
        method="GET",
        path="/v1/keys",
        summary="List API keys",
        description="Oldest first; newest first with order=-created. Revoked ones included.",
        does="read",
        scope="admin",
        is_about_instance=True,
        query=ListKeys,
        response=Page[Key],
        errors=(NotFound,),
    ),
    APIOperation(
        name="keys.get",
        method="GET",
        path="/v1/keys/{id}",
        summary="Get an API key",
        does="read",
        scope="admin",
        is_about_instance=True,
        query=KeyQuery,
        response=Key,
    ),
    APIOperation(
        name="keys.rotate",
        method="POST",
        path="/v1/keys/{id}/rotate",
        summary="Rotate an API key",
        description=(
            "Gives the key a new text, which is in this response only. The former text stays valid "
            "for `overlap_hours`; one that is older ends now."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        returns_secret=True,
        query=RotateQuery,
        response=KeyWithText,
        errors=(Conflict,),
    ),
    APIOperation(
        name="keys.revoke",
        method="DELETE",
        path="/v1/keys/{id}",
        summary="Revoke an API key",
        description=(
            "For good. This server rejects the key at once, others within 5 seconds. The key stays "
            "in the list."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        query=KeyQuery,
        response=Key,
    ),
)
