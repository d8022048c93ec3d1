"""Collections: wire types and operations."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from userkeep.api.common import JsonObject, ListQuery, Moment, Page, Revision, Uuid
from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.collection import CollectionChange, EmbeddedBy, Name, NewCollection
from userkeep.domain.errors import AlreadyExists, Conflict


class Collection(Encodable, msgspec.Struct, kw_only=True):
    """A collection: documents with embeddings of one length."""

    name: Name
    uuid: Uuid
    description: str | None
    metadata: JsonObject | None
    dimensions: Annotated[int, Meta(description="The length of all its embeddings.")]
    embedded_by: Annotated[
        EmbeddedBy,
        Meta(description="Who makes the embeddings: `caller`, or `model`, the configured one."),
    ]
    model: Annotated[
        str | None,
        Meta(description="The fingerprint of the model that makes the embeddings; null if you do."),
    ]
    document_count: int
    embedded_count: Annotated[int, Meta(description="How many documents have an embedding.")]
    waiting_count: Annotated[
        int,
        Meta(
            description="How many wait for the model. What is neither embedded nor waiting, the "
            "model rejects."
        ),
    ]
    revision: Revision
    created_at: Moment
    updated_at: Moment


class CollectionDeletion(Encodable, msgspec.Struct, kw_only=True):
    """The deletion of a collection. Its documents cannot be found, and its name is free."""

    name: Name
    uuid: Uuid
    state: Annotated[
        Literal["deleting", "deleted"],
        Meta(description="`deleted` if the last document is deleted."),
    ]
    started_at: Moment


class ListCollections(ListQuery, kw_only=True):
    """Parameters of the list of collections."""


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="collections.add",
        method="POST",
        path="/v1/collections",
        summary="Create a collection",
        description=(
            "Its dimensions and who makes its embeddings cannot be changed. Without a configured "
            "embedding model, embedded_by=model is 409."
        ),
        does="write",
        scope="write",
        body=NewCollection,
        response=Collection,
        status=201,
        errors=(AlreadyExists, Conflict),
    ),
    APIOperation(
        name="collections.list",
        method="GET",
        path="/v1/collections",
        summary="List collections",
        description="Oldest first; newest first with order=-created.",
        does="read",
        scope="read",
        query=ListCollections,
        response=Page[Collection],
    ),
    APIOperation(
        name="collections.get",
        method="GET",
        path="/v1/collections/{name}",
        summary="Get a collection",
        does="read",
        scope="read",
        response=Collection,
    ),
    APIOperation(
        name="collections.update",
        method="PATCH",
        path="/v1/collections/{name}",
        summary="Update a collection",
        description="Changes the description or metadata, which is merged (RFC 7396).",
        does="write",
        scope="write",
        body=CollectionChange,
        response=Collection,
        is_conditional=True,
    ),
    APIOperation(
        name="collections.delete",
        method="DELETE",
        path="/v1/collections/{name}",
        summary="Delete a collection",
        description=(
            "All its documents are deleted too, those of users included. If that takes longer than "
            "5 seconds, the response is 202, and the deletion continues. The name can be used "
            "again immediately."
        ),
        does="job",
        scope="write",
        response=CollectionDeletion,
    ),
)
