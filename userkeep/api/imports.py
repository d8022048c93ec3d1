"""Imports: wire types and operations."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import AlreadyExists, Conflict, NotFound, QuotaExceeded
from userkeep.domain.imports import (
    ImportedCollection,
    ImportedDocuments,
    ImportedSession,
    ImportedUser,
)


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


class CollectionImport(Encodable, msgspec.Struct, kw_only=True):
    """What happened to an imported collection: `differs` changes nothing."""

    result: ImportResult
    differing: DifferingFields


class DocumentConflict(Encodable, msgspec.Struct, kw_only=True):
    """A document that was not imported."""

    index: Annotated[int, Meta(description="Its position in the request, from 0.")]
    reason: Annotated[
        Literal["differs", "no_user"],
        Meta(
            description="`differs`: a document with this uuid or `document_id` exists, and is "
            "another in the fields in `differing`. `no_user`: its user does not exist, or was "
            "deleted."
        ),
    ]
    differing: DifferingFields


class DocumentsImport(Encodable, msgspec.Struct, kw_only=True):
    """What happened to imported documents."""

    added: Annotated[int, Meta(description="How many documents were added.")]
    present: Annotated[int, Meta(description="How many documents exist, and do not differ.")]
    conflicts: Annotated[list[DocumentConflict], Meta(description="All other documents.")]


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
    APIOperation(
        name="imports.collection",
        method="PUT",
        path="/v1/import/collections",
        summary="Import a collection",
        description=(
            "With uuid, revision and times as they were. A collection that exists is compared, and "
            "not changed. Returns 409 if another collection of the project has the uuid, or if a "
            "model is to make the embeddings, and neither `model` is given nor one configured."
        ),
        does="write",
        scope="admin",
        body=ImportedCollection,
        response=CollectionImport,
        errors=(AlreadyExists, Conflict),
    ),
    APIOperation(
        name="imports.documents",
        method="PUT",
        path="/v1/import/documents",
        summary="Import documents",
        description=(
            "1 to 1,000 documents of a collection, which come after those that it has. What exists "
            "is compared, and not changed. Embeddings that a model made are kept if the collection "
            "has the same model; otherwise the documents wait for its model."
        ),
        does="write",
        scope="admin",
        body=ImportedDocuments,
        response=DocumentsImport,
        errors=(NotFound, QuotaExceeded),
    ),
)
