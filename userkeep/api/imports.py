"""Imports: wire types and operations."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import AlreadyExists, Conflict, NotFound, QuotaExceeded
from userkeep.domain.imports import ImportedSession, ImportedUser


class ImportQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an import."""

    as_new: Annotated[
        bool,
        Meta(
            description="Whether a user or session that was deleted is created again, as another "
            "one. It must then have no `uuid`."
        ),
    ] = False

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited: by the size of the body."""
        return True


ImportResult = Literal["added", "present", "differs"]
DifferingFields = Annotated[list[str], Meta(description="The fields that differ.")]


class UserImport(Encodable, msgspec.Struct, kw_only=True):
    """What happened to an imported user: `differs` changes nothing."""

    result: ImportResult
    differing: DifferingFields


class MessageConflict(Encodable, msgspec.Struct, kw_only=True):
    """A message that was not imported."""

    id: str
    reason: Annotated[
        Literal["differs", "place_taken"],
        Meta(
            description="`differs`: a message with this id exists, and is another in the fields in "
            "`differing`. `place_taken`: another message has its `seq`."
        ),
    ]
    differing: DifferingFields


class SessionImport(Encodable, msgspec.Struct, kw_only=True):
    """What happened to an imported session, and to the messages that were sent with it."""

    result: ImportResult
    differing: DifferingFields
    added: Annotated[int, Meta(description="How many messages were added.")]
    present: Annotated[int, Meta(description="How many messages exist, and do not differ.")]
    conflicts: Annotated[list[MessageConflict], Meta(description="All other messages.")]
    after_seq: Annotated[
        int, Meta(description="The `after_seq` to send with the messages that follow.")
    ]


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="imports.user",
        method="PUT",
        path="/v1/import/users",
        summary="Import a user",
        description=(
            "With uuid, revision and times as they were. A user who exists is compared, and not "
            "changed. Returns 410 if the user was deleted, and 409 if another user has the uuid. A "
            "uuid that is used in another project is replaced by a new one."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        query=ImportQuery,
        body=ImportedUser,
        response=UserImport,
        errors=(AlreadyExists,),
    ),
    APIOperation(
        name="imports.session",
        method="PUT",
        path="/v1/import/sessions",
        summary="Import a session",
        description=(
            "With up to 1,000 messages, each at the position that it had. What exists is compared, "
            "and not changed. Returns 410 if the session was deleted, and 409 if another one has "
            "the uuid."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        query=ImportQuery,
        body=ImportedSession,
        response=SessionImport,
        errors=(NotFound, AlreadyExists, Conflict, QuotaExceeded),
    ),
)
