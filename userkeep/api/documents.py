"""Documents of collections: wire types and operations."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import (
    Filter,
    FilteredList,
    JsonObject,
    Moment,
    Page,
    Revision,
    Uuid,
)
from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.document import MAX_BATCH, DocumentChange, GivenEmbedding, NewDocument
from userkeep.domain.errors import AlreadyExists, NotFound, QuotaExceeded, Unavailable
from userkeep.domain.values.paging import MAX_LIMIT

OmittableOfDocument = Literal["content", "metadata"]
"""The fields of a document that a search can leave out."""

_SHORT_LIST = 20


class Document(Encodable, msgspec.Struct, kw_only=True):
    """A document of a collection.

    `embedding` is absent unless the request includes it, and `content` and `metadata` if a search
    leaves them out with `omit`. In Python they are `msgspec.UNSET` then.
    """

    document_id: Annotated[
        str, Meta(description="Yours, unique in the collection; by default the uuid.")
    ]
    uuid: Uuid
    user_id: Annotated[str | None, Meta(description="The user whom it belongs to.")]
    # Typed as always present, for the callers that leave nothing out.
    content: str = UNSET  # type: ignore[assignment]
    metadata: JsonObject | None = UNSET  # type: ignore[assignment]
    embedding_state: Annotated[
        Literal["embedded", "waiting", "rejected"],
        Meta(
            description="A search by text or embedding finds what is `embedded`. What is `waiting` "
            "waits for the model, and what is `rejected` the model does not embed."
        ),
    ]
    embedding: Annotated[
        list[float] | None | UnsetType,
        Meta(description="Only if it is included; null without one."),
    ] = UNSET
    revision: Revision
    created_at: Moment
    updated_at: Moment


class AddedDocuments(msgspec.Struct, kw_only=True):
    """The added documents, in order."""

    documents: list[Document]


class AddDocuments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Documents to add, all or none."""

    documents: Annotated[list[NewDocument], Meta(min_length=1, max_length=MAX_BATCH)]


class DeleteDocuments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Documents to delete."""

    document_ids: Annotated[
        list[str],
        Meta(min_length=1, max_length=MAX_BATCH, description="Those that are missing are ignored."),
    ]


class DeletedDocuments(Encodable, msgspec.Struct, kw_only=True):
    """The result of a deletion of documents."""

    deleted_count: Annotated[int, Meta(description="How many documents were deleted.")]


IncludeEmbedding = Annotated[
    Literal["embedding"], Meta(description="What each document has with it: its embedding.")
]

OwnerOfDocument = Annotated[
    str | None,
    Meta(
        description="Only if the document belongs to this user. One of another user, or of none, "
        "is then 404, as if it did not exist."
    ),
]


class DocumentQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The parameter of each operation on a document: whose it must be."""

    user_id: OwnerOfDocument = None

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited: one row is found by its key."""
        return True


class GetDocumentQuery(DocumentQuery, kw_only=True):
    """Parameters of reading a document."""

    include: IncludeEmbedding | None = None


class ListDocuments(FilteredList, kw_only=True):
    """Parameters of the list of a collection's documents."""

    user_id: Annotated[str, Meta(description="Only those of this user.")] | None = None
    include: IncludeEmbedding | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether the work is limited; many embeddings are not a little."""
        is_short = self.include is None or self.limit <= _SHORT_LIST
        return is_short and super().is_bounded


LowestScore = Annotated[float, Meta(ge=-1, le=1, description="The lowest score of a result.")]

Relevance = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="Select by maximal marginal relevance, among twice as many: 1 selects the "
        "nearest, 0 those that differ most from each other.",
    ),
]


class SearchDocuments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A search in a collection: by a text or an embedding, or by conditions alone.

    With neither, the newest documents that meet the conditions are found.
    """

    text: Annotated[
        str | None,
        Meta(
            description="What is looked for. The model that has embedded the collection embeds it "
            "too; a collection that the caller embeds is searched by an embedding. Up to 10,000 "
            "characters, of which the model gets the first 2,000."
        ),
    ] = None
    embedding: Annotated[
        GivenEmbedding | None, Meta(description="What is looked for. Not together with text.")
    ] = None
    user_id: Annotated[str | None, Meta(description="Only documents of this user.")] = None
    filter: Filter | None = None
    limit: Annotated[
        int, Meta(ge=1, le=MAX_LIMIT, description="The maximum number of results.")
    ] = 10
    min_score: LowestScore | None = None
    mmr_lambda: Relevance | None = None
    exact: Annotated[
        bool,
        Meta(
            description="Compare all embeddings, also in a large collection with an approximate "
            "index (HNSW, on PostgreSQL)."
        ),
    ] = False
    include: Annotated[
        list[Literal["embedding"]],
        Meta(max_length=1, description="What each document has besides: its `embedding`."),
    ] = []
    omit: Annotated[
        list[OmittableOfDocument],
        Meta(
            max_length=len(get_args(OmittableOfDocument)),
            description="Fields of each document that are left out.",
        ),
    ] = []


class DocumentHit(Encodable, msgspec.Struct, kw_only=True):
    """A document that a search found."""

    document: Document
    score: Annotated[
        float | None,
        Meta(
            description="The cosine of the angle with what is looked for, from -1 to 1; null in a "
            "search by conditions alone."
        ),
    ]


class DocumentHits(Encodable, msgspec.Struct, kw_only=True):
    """The results of a search, best first."""

    items: list[DocumentHit]


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="documents.add",
        method="POST",
        path="/v1/collections/{name}/documents",
        summary="Add documents",
        description=(
            "1 to 1,000 documents, all or none. If the configured model makes the embeddings, they "
            "are added without them, and are found by their texts some seconds later."
        ),
        does="write",
        scope="write",
        is_for_users=True,
        body=AddDocuments,
        response=AddedDocuments,
        status=201,
        errors=(AlreadyExists, QuotaExceeded),
    ),
    APIOperation(
        name="documents.list",
        method="GET",
        path="/v1/collections/{name}/documents",
        summary="List documents",
        description="In the order in which they were added.",
        does="read",
        scope="read",
        is_for_users=True,
        query=ListDocuments,
        response=Page[Document],
    ),
    APIOperation(
        name="documents.get",
        method="GET",
        path="/v1/collections/{name}/documents/{document_id}",
        summary="Get a document",
        does="read",
        scope="read",
        is_for_users=True,
        query=GetDocumentQuery,
        response=Document,
    ),
    APIOperation(
        name="documents.update",
        method="PATCH",
        path="/v1/collections/{name}/documents/{document_id}",
        summary="Update a document",
        description=(
            "Changes content, document_id, embedding or metadata, which is merged (RFC 7396)."
        ),
        does="write",
        scope="write",
        is_for_users=True,
        query=DocumentQuery,
        body=DocumentChange,
        response=Document,
        is_conditional=True,
        errors=(AlreadyExists, QuotaExceeded),
    ),
    APIOperation(
        name="documents.delete",
        method="DELETE",
        path="/v1/collections/{name}/documents/{document_id}",
        summary="Delete a document",
        does="write",
        scope="write",
        is_for_users=True,
        query=DocumentQuery,
        response=DeletedDocuments,
        is_conditional=True,
    ),
    APIOperation(
        name="documents.delete_many",
        method="POST",
        path="/v1/collections/{name}/delete-documents",
        summary="Delete documents by their ids",
        description="Up to 1,000 documents, together. Those that are missing are ignored.",
        does="write",
        scope="write",
        is_for_users=True,
        body=DeleteDocuments,
        response=DeletedDocuments,
    ),
    APIOperation(
        name="documents.search",
        method="POST",
        path="/v1/collections/{name}/search",
        summary="Search documents",
        description=(
            "The nearest documents to a text or an embedding, best first, by the cosine of the "
            "angle between their embeddings. All documents that meet the conditions are compared."
        ),
        does="read",
        scope="read",
        is_for_users=True,
        body=SearchDocuments,
        response=DocumentHits,
        errors=(NotFound, Unavailable),
    ),
)
