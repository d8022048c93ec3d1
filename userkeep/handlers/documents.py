"""Documents: handlers, and what is sent of a document."""

from collections.abc import Callable, Set
from functools import wraps
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from userkeep.api import documents as wire
from userkeep.api.common import Page
from userkeep.domain.document import (
    Document,
    PreparedChange,
    PreparedDocument,
    encode_given,
    prepare_change,
)
from userkeep.domain.errors import Forbidden, InvalidField, TooLarge
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import parse_filter
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import merge_patch
from userkeep.domain.values.paging import PageRequest
from userkeep.domain.vectors.encoding import embedding_json
from userkeep.handlers.calls import Call, Handler, Prepare, ReplayedResponse, StartedJob
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import metadata_filter, page_request, serialize_page
from userkeep.handlers.values import raw_json, time_to_send
from userkeep.jobs.document_deletion import DocumentDeletionJob
from userkeep.services import collections, document_search, documents
from userkeep.services.document_search import DocumentHit, DocumentSearch
from userkeep.services.documents import DocumentDeletion
from userkeep.services.idempotency import IdempotencyRecord

T = TypeVar("T")

_EMBEDDING = "embedding"
_LONGEST_TEXT = 10_000
_ALWAYS_OMITTED = frozenset({_EMBEDDING})

# Whether an id is free would reveal whether another user has a document with it.
_CHOSEN_ID = (
    "Your key is bound to a user, and cannot choose the id of a document. Leave document_id out: "
    "the server generates one."
)


class _Added(NamedTuple):
    collection_uuid: str
    documents: list[Document]


class _Deleted(NamedTuple):
    """What a request has deleted; of one that is replayed, the deletion is not known any more."""

    collection_uuid: str
    deleted_count: int
    deletion: DocumentDeletion | None = None


def prepare_add(_: Rules, call: Call) -> list[PreparedDocument]:
    """Check documents to add, and encode their embeddings."""
    body: wire.AddDocuments = call.body
    return documents.prepare(body.documents)


def prepare_update(_: Rules, call: Call) -> PreparedChange:
    """Check a change of a document."""
    return prepare_change(call.body)


def prepare_delete_many(_: Rules, call: Call) -> None:
    """Check the ids of documents."""
    body: wire.DeleteDocuments = call.body
    for index, each in enumerate(body.document_ids):
        check_id(each, f"document_ids[{index}]")


def prepare_search(_: Rules, call: Call) -> DocumentSearch:
    """Check a search."""
    body: wire.SearchDocuments = call.body
    if body.text is not None and body.embedding is not None:
        raise InvalidField("Give text or embedding, not both.", "text", "embedding")
    _check_text(body.text)
    if body.user_id is not None:
        check_id(body.user_id, "user_id")
    is_by_conditions = body.text is None and body.embedding is None
    for name in ("min_score", "mmr_lambda"):
        if is_by_conditions and getattr(body, name) is not None:
            raise InvalidField(f"{name} needs a text or an embedding.", name)
    return DocumentSearch(
        text=body.text,
        embedding=None if body.embedding is None else encode_given(body.embedding, _EMBEDDING),
        limit=body.limit,
        filter=None if body.filter is None else parse_filter(body.filter),
        min_cosine=body.min_score,
        relevance=body.mmr_lambda,
        is_exact=body.exact,
    )


def _check_text(text: str | None) -> None:
    if text is None:
        return
    if not text.strip():
        raise InvalidField("text is empty.", "text")
    if len(text) > _LONGEST_TEXT:
        raise InvalidField(f"text is longer than {_LONGEST_TEXT:,} characters.", "text")


def add(tx: Transaction, call: Call) -> _Added:
    """Add documents to a collection."""
    prepared: list[PreparedDocument] = call.prepared
    if any(each.document_id is not None for each in prepared):
        _check_may_choose_ids(call.scope)
    added = documents.add(tx, call.ids["name"], prepared)
    return _Added(collections.get(tx, call.ids["name"]).uuid, added)


def list_(tx: Transaction, call: Call) -> Page[wire.Document]:
    """List the documents of a collection."""
    query: wire.ListDocuments = call.query
    name = call.ids["name"]
    selection = {"user_id": query.user_id, **metadata_filter(query)}
    filters = {"collection": collections.get(tx, name).uuid, **selection}
    request = page_request(query, filters)
    has_embedding = query.include == _EMBEDDING
    rows = documents.page(tx, name, request, has_embedding=has_embedding, **selection)
    omit: Set[str] = frozenset() if has_embedding else _ALWAYS_OMITTED
    return serialize_page(
        rows,
        request,
        lambda document: serialize_document(document, omit),
        filters,
        number=lambda document: document.seq,
    )


def get(tx: Transaction, call: Call) -> wire.Document:
    """Return a document."""
    name = call.ids["name"]
    uuid = documents.uuid_of(tx, name, call.ids["document_id"])
    document = documents.get(tx, name, uuid=uuid)
    has_embedding = call.query.include == _EMBEDDING
    return serialize_document(document, frozenset() if has_embedding else _ALWAYS_OMITTED)


def update(tx: Transaction, call: Call) -> wire.Document:
    """Update a document."""
    change: PreparedChange = call.prepared
    if "document_id" in change.fields:
        _check_may_choose_ids(call.scope)
    name = call.ids["name"]
    uuid = documents.uuid_of(tx, name, call.ids["document_id"])
    return serialize_document(
        documents.update(
            tx, name, change, uuid=uuid, if_revision=call.if_revision, merge=merge_patch
        )
    )


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a document."""
    name = call.ids["name"]
    uuid = documents.uuid_of(tx, name, call.ids["document_id"])
    deletion = documents.delete(tx, name, uuids=[uuid], if_revision=call.if_revision)
    return _start_deletion(deletion)


def delete_many(tx: Transaction, call: Call) -> _Deleted:
    """Delete documents by their ids."""
    body: wire.DeleteDocuments = call.body
    name = call.ids["name"]
    uuids = documents.uuids_of(tx, name, body.document_ids)
    deletion = documents.delete(tx, name, uuids=uuids)
    return _Deleted(deletion.collection_uuid, deletion.deleted_count, deletion)


def search(tx: Transaction, call: Call) -> wire.DocumentHits:
    """Search a collection."""
    body: wire.SearchDocuments = call.body
    wanted: DocumentSearch = call.prepared
    # Here, because a key that is bound to a user has named them in the body since.
    wanted.user_id = body.user_id
    found = document_search.find(tx, call.ids["name"], wanted)
    omit = frozenset(body.omit) | (_ALWAYS_OMITTED - set(body.include))
    return wire.DocumentHits(items=[_serialize_hit(hit, omit) for hit in found.hits])


def serialize_document(document: Document, omit: Set[str] = _ALWAYS_OMITTED) -> wire.Document:
    """Return a document as it is sent.

    Args:
        omit: the fields that are left out.
    """
    serialized = wire.Document(
        document_id=document.document_id or document.uuid,
        uuid=document.uuid,
        user_id=document.user_id,
        content=document.content,
        metadata=raw_json(document.metadata),
        embedding_state=document.embedding_state,  # type: ignore[arg-type]
        embedding=UNSET if _EMBEDDING in omit else _embedding(document),
        revision=document.revision,
        created_at=time_to_send(document.created_at),
        updated_at=time_to_send(document.updated_at),
    )
    for name in omit - _ALWAYS_OMITTED:
        setattr(serialized, name, UNSET)
    return serialized


def _embedding(document: Document) -> Any:
    if document.embedding is None or not document.is_embedded:
        return None
    return msgspec.Raw(embedding_json(document.embedding))


def _serialize_hit(hit: DocumentHit, omit: Set[str]) -> wire.DocumentHit:
    return wire.DocumentHit(document=serialize_document(hit.document, omit), score=hit.cosine)


def _check_may_choose_ids(scope: Scope) -> None:
    if scope.is_bound:
        raise Forbidden(_CHOSEN_ID)


def _record(added: _Added) -> IdempotencyRecord:
    return IdempotencyRecord(
        uuid=added.collection_uuid,
        first_seq=added.documents[0].seq,
        message_count=len(added.documents),
    )


def _replay(tx: Transaction, call: Call, record: IdempotencyRecord) -> _Added:
    name, count = call.ids["name"], record.message_count or 0
    first_seq = record.first_seq or 0
    collection = collections.get(tx, name)
    rows = documents.page(tx, name, PageRequest(limit=count, after=first_seq - 1))
    found = rows.items
    if rows.has_more and len(found) < count:
        raise TooLarge("The documents of the first request have grown; list them instead.")
    is_complete = len(found) == count and found[-1].seq == first_seq + count - 1
    if collection.uuid != record.uuid or not is_complete:
        raise gone()
    return _Added(collection.uuid, found)


def _record_deletion(deleted: _Deleted) -> IdempotencyRecord:
    return IdempotencyRecord(uuid=deleted.collection_uuid, message_count=deleted.deleted_count)


def _replay_deletion(_: Transaction, __: Call, record: IdempotencyRecord) -> _Deleted:
    return _Deleted(record.uuid or "", record.message_count or 0)


def _serialize_added(added: _Added) -> wire.AddedDocuments:
    return wire.AddedDocuments(documents=[serialize_document(each) for each in added.documents])


def _send_deleted(deleted: _Deleted) -> StartedJob | wire.DeletedDocuments:
    if deleted.deletion is None:
        return wire.DeletedDocuments(deleted_count=deleted.deleted_count)
    return _start_deletion(deleted.deletion)


def _start_deletion(deletion: DocumentDeletion) -> StartedJob:
    deleted = wire.DeletedDocuments(deleted_count=deletion.deleted_count)
    return StartedJob(DocumentDeletionJob(deletion), None, lambda _: deleted)


def _sending(handle: IdempotentHandler[T], serialize: Callable[[T], Any]) -> Handler:
    """Return a handler that sends a result, or one that is replayed, as `serialize` returns it."""

    @wraps(handle)
    def handle_and_send(tx: Transaction, call: Call) -> Any:
        result = handle(tx, call)
        if isinstance(result, ReplayedResponse):
            return ReplayedResponse(serialize(result.value))
        return serialize(result)

    return handle_and_send


HANDLERS: dict[str, Handler] = {
    "documents.add": _sending(
        IdempotentHandler(add, record=_record, replay=_replay), _serialize_added
    ),
    "documents.list": list_,
    "documents.get": get,
    "documents.update": update,
    "documents.delete": delete,
    "documents.delete_many": _sending(
        IdempotentHandler(delete_many, record=_record_deletion, replay=_replay_deletion),
        _send_deleted,
    ),
    "documents.search": search,
}

PREPARE: dict[str, Prepare] = {
    "documents.add": prepare_add,
    "documents.update": prepare_update,
    "documents.delete_many": prepare_delete_many,
    "documents.search": prepare_search,
}
