"""The objects that Zep 0.27.2 sends, and pure functions that make them from stored ones."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.domain.collection import Collection
from userkeep.domain.document import Document
from userkeep.domain.message import Message
from userkeep.domain.session import Session
from userkeep.domain.user import User
from userkeep.domain.values.times import rfc3339_text
from userkeep.domain.vectors.encoding import embedding_json
from userkeep.services.document_search import DocumentHit, FoundDocuments
from userkeep.services.search import Hit

ZERO_TIME = "0001-01-01T00:00:00Z"
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class ZepUser(msgspec.Struct):
    """A user. From `email` on, empty fields are omitted."""

    uuid: str
    id: int
    created_at: str
    updated_at: str
    deleted_at: None
    user_id: str
    email: str | UnsetType
    first_name: str | UnsetType
    last_name: str | UnsetType
    metadata: Raw | UnsetType


class ZepSession(msgspec.Struct):
    """A session. All fields are always sent."""

    uuid: str
    id: int
    created_at: str
    updated_at: str
    deleted_at: None
    session_id: str
    metadata: Raw | None
    user_id: str | None


class ZepMessage(msgspec.Struct):
    """A message. `updated_at` is always the zero time."""

    uuid: str
    created_at: str
    updated_at: str
    role: str
    content: str
    metadata: Raw | UnsetType
    token_count: int


class ZepHit(msgspec.Struct):
    """A match of a search. There are no embeddings, and no summaries yet."""

    message: ZepMessage
    summary: None
    dist: float
    embedding: None


class ZepCollection(msgspec.Struct):
    """A collection. zep-python rejects any other field."""

    uuid: str
    created_at: str
    updated_at: str
    name: str
    description: str
    metadata: Raw | UnsetType
    embedding_dimensions: int
    is_auto_embedded: bool
    is_normalized: bool
    is_indexed: bool
    document_count: int
    document_embedded_count: int


class ZepDocument(msgspec.Struct):
    """A document; `updated_at` is the zero time except in a search."""

    uuid: str
    created_at: str
    updated_at: str
    document_id: str
    content: str
    metadata: Raw | UnsetType
    embedding: Raw | None
    is_embedded: bool


class ZepFoundDocument(ZepDocument):
    """A document that a search found; `score` is from 0 to 1."""

    score: float


class ZepFoundDocuments(msgspec.Struct):
    """What a search of documents found. `query_vector` is empty if there was none."""

    results: list[ZepFoundDocument]
    query_vector: Raw
    result_count: int
    total_pages: int = 0
    current_page: int = 0


NO_SUMMARY: dict[str, Any] = {
    "uuid": ZERO_UUID,
    "created_at": ZERO_TIME,
    "content": "",
    "recent_message_uuid": ZERO_UUID,
    "token_count": 0,
}


def serialize_user(user: User, id_: int) -> ZepUser:
    """Return a user; `id_` is its position in a list, or its stable number."""
    created_at = rfc3339_text(user.created_at)
    is_unchanged = user.updated_at == user.created_at
    return ZepUser(
        user.uuid,
        id_,
        created_at,
        created_at if is_unchanged else rfc3339_text(user.updated_at),
        None,
        user.user_id,
        user.email or UNSET,
        user.first_name or UNSET,
        user.last_name or UNSET,
        _metadata(user.metadata),
    )


def serialize_session(session: Session, id_: int) -> ZepSession:
    """Return a session; `id_` is its position in a list, or its stable number."""
    return ZepSession(
        session.uuid,
        id_,
        rfc3339_text(session.created_at),
        rfc3339_text(session.updated_at),
        None,
        session.session_id,
        None if session.metadata is None else Raw(session.metadata),
        session.user_id,
    )


def serialize_message(message: Message) -> ZepMessage:
    """Return a message. Zep's role is who speaks; without a name, the role for a model."""
    return ZepMessage(
        message.id,
        rfc3339_text(message.created_at),
        ZERO_TIME,
        message.name or _role(message),
        message.content,
        _metadata(message.metadata),
        message.token_count or 0,
    )


def serialize_hit(hit: Hit) -> ZepHit:
    """Return a match; a greater `dist` is a better match."""
    return ZepHit(serialize_message(hit.message), None, hit.score or 0, None)


def serialize_collection(collection: Collection) -> ZepCollection:
    """Return a collection. It needs no index, so it is always indexed."""
    return ZepCollection(
        collection.uuid,
        rfc3339_text(collection.created_at),
        rfc3339_text(collection.updated_at),
        collection.name,
        collection.description or "",
        _metadata(collection.metadata),
        collection.dimensions,
        collection.is_embedded_by_model,
        False,
        True,
        collection.document_count,
        collection.embedded_count,
    )


def serialize_document(document: Document) -> ZepDocument:
    """Return a document that was read by an id."""
    return ZepDocument(*_document_fields(document, ZERO_TIME))


def serialize_found_documents(found: FoundDocuments) -> ZepFoundDocuments:
    """Return what a search found; without a query, each score is 0."""
    results = [_with_score(hit) for hit in found.hits]
    vector = Raw(b"[]") if found.query is None else Raw(embedding_json(found.query))
    return ZepFoundDocuments(results, vector, found.candidate_count)


def _with_score(hit: DocumentHit) -> ZepFoundDocument:
    fields: tuple[Any, ...] = _document_fields(hit.document, rfc3339_text(hit.document.updated_at))
    return ZepFoundDocument(*(*fields, _score(hit.cosine)))


def _score(cosine: float | None) -> float:
    # Rounding can make a cosine a little more than 1.
    return 0 if cosine is None else min(max(cosine / 2 + 0.5, 0), 1)


def _document_fields(document: Document, updated_at: str) -> tuple[Any, ...]:
    embedding = document.embedding
    return (
        document.uuid,
        rfc3339_text(document.created_at),
        updated_at,
        document.document_id or "",
        document.content,
        _metadata(document.metadata),
        None if embedding is None else Raw(embedding_json(embedding)),
        document.is_embedded,
    )


def serialize_memory(messages: list[Message]) -> dict[str, Any]:
    """Return a memory. Without a summary, Zep sends one with zero values."""
    return {"messages": [serialize_message(each) for each in messages], "summary": NO_SUMMARY}


def _role(message: Message) -> str:
    return "" if message.role == "norole" else message.role


def _metadata(json: str | None) -> Raw | UnsetType:
    return UNSET if json is None or json == "{}" else Raw(json)
