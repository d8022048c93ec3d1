"""Imports of collections and documents: add them as an export has them, and compare what exists.

Nothing that exists is changed. New documents come after those that the collection has.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from msgspec import UNSET

from userkeep.domain.collection import Collection, fold_collection_name
from userkeep.domain.document import Document, EmbeddingState, prepare_document
from userkeep.domain.embedding import EmbeddingModel
from userkeep.domain.errors import AlreadyExists, Gone, InvalidField, NotFound
from userkeep.domain.imports import (
    ImportedCollection,
    ImportedDocument,
    PreparedImportedDocument,
)
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.ids import check_uuid
from userkeep.domain.values.metadata import encode_json, encode_metadata
from userkeep.domain.values.past import check_past
from userkeep.domain.values.times import Instant, from_datetime
from userkeep.domain.vectors.encoding import check_dimensions
from userkeep.services import collections, quotas, users
from userkeep.services.document_checks import check_embedding
from userkeep.services.imports import ADDED, Outcome, compare, not_later
from userkeep.services.quotas import AddedText

_AT_ONCE = 25
"""How many stored documents are compared at a time; each has up to 1 MiB of content."""


class DocumentConflict(NamedTuple):
    """A document that was not added.

    Attributes:
        at: its position in the request, from 0.
        reason: `differs`: another one exists. `no_user`: its user does not exist, or is deleted.
        differing: the fields in which the existing document differs.
    """

    at: int
    reason: Literal["differs", "no_user"]
    differing: list[str]


class DocumentsOutcome(NamedTuple):
    """What happened to documents: how many were added, how many exist as they are, and others."""

    added: int
    present: int
    conflicts: list[DocumentConflict]


def prepare(given: Sequence[ImportedDocument]) -> list[PreparedImportedDocument]:
    """Check documents to import, before the transaction, in which other writers would wait.

    Raises:
        InvalidField: naming the field, by its path (`documents[3].embedding`).
    """
    prepared = [_prepared(each, f"documents[{index}]") for index, each in enumerate(given)]
    known: set[str] = set()
    for index, each in enumerate(prepared):
        for name, id_ in (("uuid", each.uuid), ("document_id", each.document.document_id)):
            # The two cannot be mixed up: a uuid is never compared with a document_id.
            key = f"{name} {id_}"
            if id_ is not None and key in known:
                field = f"documents[{index}].{name}"
                raise InvalidField(f"{field} is that of a document before it: {id_!r}.", field)
            known.add(key)
    return prepared


def add_collection(
    tx: Transaction, new: ImportedCollection, model: EmbeddingModel | None
) -> Outcome:
    """Add a collection, or compare the existing one.

    Args:
        model: the configured embedding model.

    Raises:
        AlreadyExists: another collection has the uuid. Conflict: it is to be embedded by a model,
            and none is known. InvalidField: naming the field.
    """
    new.check()
    _check_model(new)
    made_by = model
    if new.model is not None:
        made_by = EmbeddingModel(name="", fingerprint=new.model, dimensions=new.dimensions)
    uuid = None if new.uuid is None else check_uuid(new.uuid, "uuid")
    if collections.find(tx, new.name) is None:
        _check_uuid_is_free(tx, uuid)
        known = {"uuid": uuid, "revision": new.revision, **_times(tx, new)}
        given = {name: value for name, value in known.items() if value is not None}
        if collections.insert(tx, new, made_by, **given) is not None:
            return ADDED
    return compare(collections.get(tx, new.name), _fields_of_collection(new, uuid))


def add_documents(
    tx: Transaction, name: str, new: Sequence[PreparedImportedDocument], model: str | None
) -> DocumentsOutcome:
    """Add documents to a collection, and compare those that exist.

    Where the model makes the embeddings, those of `model` are kept if the collection has the same
    one. Otherwise the documents wait for its model.

    Args:
        name: of the collection.
        new: the documents, from `prepare`.
        model: the fingerprint of the model that made their embeddings.

    Raises:
        NotFound: there is no such collection. InvalidField: naming the field.
        QuotaExceeded: a user would have too much.
    """
    quotas.lock_users(tx, (each.document.user_id for each in new))
    owners = _lock_owners(tx, new)
    collection = collections.lock(tx, name)
    stored = _compare_stored(tx, collection, new)
    conflicts, missing, present = [], [], 0
    for index, each in enumerate(new):
        user_id = each.document.user_id
        if user_id is not None and user_id not in owners:
            conflicts.append(DocumentConflict(index, "no_user", []))
        elif index not in stored:
            missing.append(_to_store(collection, each, model, f"documents[{index}]"))
        elif stored[index]:
            conflicts.append(DocumentConflict(index, "differs", stored[index]))
        else:
            present += 1
    if missing:
        _insert(tx, name, missing, owners)
        texts = (each.given.document for each in missing)
        added = (AddedText(each.user_id, 1, len(each.content.encode())) for each in texts)
        quotas.check_documents(tx, added)
    return DocumentsOutcome(len(missing), present, conflicts)


class _ToStore(NamedTuple):
    given: PreparedImportedDocument
    state: EmbeddingState

    @property
    def has_embedding(self) -> bool:
        return self.state == EmbeddingState.EMBEDDED


def _prepared(given: ImportedDocument, path: str) -> PreparedImportedDocument:
    if given.uuid is None and given.document_id is None:
        raise InvalidField(
            f"{path} needs a uuid or a document_id; it identifies a document that exists already.",
            f"{path}.document_id",
        )
    document = prepare_document(given, path)
    uuid = None if given.uuid is None else check_uuid(given.uuid, f"{path}.uuid")
    # A response has the uuid in its place if there is none.
    document_id = None if document.document_id == uuid else document.document_id
    return PreparedImportedDocument(
        document._replace(document_id=document_id),
        uuid,
        given.embedding_state == "rejected",
        given.revision,
        given.created_at,
        given.updated_at,
    )


def _check_model(new: ImportedCollection) -> None:
    if new.model is None:
        return
    if new.embedded_by == "caller":
        raise InvalidField("model needs embedded_by=model.", "model")
    if new.dimensions is None:
        raise InvalidField("dimensions is missing: the length of the embeddings.", "dimensions")


def _check_uuid_is_free(tx: Transaction, uuid: str | None) -> None:
    if uuid is not None and tx.fetch_one("name_of_collection", str, uuid=uuid) is not None:
        raise AlreadyExists(f"The uuid {uuid} is that of another collection.", "uuid")


def _times(
    tx: Transaction, new: ImportedCollection | PreparedImportedDocument, path: str = ""
) -> dict[str, Instant | None]:
    """Return the times that are known."""
    given = {"created_at": new.created_at, "updated_at": new.updated_at or new.created_at}
    return {name: _past(tx, value, f"{path}{name}") for name, value in given.items()}


def _past(tx: Transaction, moment: datetime | None, field: str) -> Instant | None:
    return None if moment is None else not_later(tx, check_past(moment, field, tx.now))


def _fields_of_collection(new: ImportedCollection, uuid: str | None) -> dict[str, Any]:
    known = {
        "name": fold_collection_name(new.name),
        "uuid": UNSET if uuid is None else uuid,
        "description": new.description,
        "metadata": encode_metadata(new.metadata),
        "dimensions": UNSET if new.dimensions is None else new.dimensions,
        "embedded_by": new.embedded_by,
        "created_at": _compared_time(new.created_at),
    }
    return {name: value for name, value in known.items() if value is not UNSET}


def _compared_time(moment: datetime | None) -> Any:
    return UNSET if moment is None else from_datetime(moment)


def _fields_of_document(collection: Collection, new: PreparedImportedDocument) -> dict[str, Any]:
    """Return what a file knows of a document. A model makes other embeddings of the same text."""
    document = new.document
    known = {
        "uuid": UNSET if new.uuid is None else new.uuid,
        "document_id": document.document_id,
        "user_id": document.user_id,
        "metadata": document.metadata,
        "content": document.content,
        "embedding": UNSET if collection.is_embedded_by_model else document.embedding,
        "created_at": _compared_time(new.created_at),
    }
    return {name: value for name, value in known.items() if value is not UNSET}


def _lock_owners(tx: Transaction, new: Sequence[PreparedImportedDocument]) -> dict[str, User]:
    """Return those of the users whom the documents belong to that there are, locked."""
    owners = {}
    # In one order, so that two writers cannot wait for each other.
    for user_id in sorted({each.document.user_id for each in new if each.document.user_id}):
        try:
            owners[user_id] = users.lock_shared(tx, user_id)
        except (NotFound, Gone):
            continue  # reported with each of its documents
    return owners


def _compare_stored(
    tx: Transaction, collection: Collection, new: Sequence[PreparedImportedDocument]
) -> dict[int, list[str]]:
    """Return the fields in which stored documents differ, by the positions of the new ones."""
    differing = {}
    for first in range(0, len(new), _AT_ONCE):
        tx.check_deadline()
        some = new[first : first + _AT_ONCE]
        stored = list(_stored(tx, collection, some))
        by_uuid = {each.uuid: each for each in stored}
        by_id = {each.document_id: each for each in stored if each.document_id is not None}
        for index, each in enumerate(some, first):
            existing = by_uuid.get(each.uuid or "") or by_id.get(each.document.document_id or "")
            if existing is not None:
                fields = _fields_of_document(collection, each)
                differing[index] = compare(existing, fields).differing
    return differing


def _stored(
    tx: Transaction, collection: Collection, some: Sequence[PreparedImportedDocument]
) -> Iterator[Document]:
    given = {
        "uuids": [each.uuid for each in some if each.uuid is not None],
        "ids": [each.document.document_id for each in some if each.document.document_id],
    }
    for name, values in given.items():
        if values:
            by: dict[str, Any] = {name: encode_json(values).decode()}
            number = collection.number
            yield from tx.fetch_all(
                "documents_among", Document, collection=number, embedding=True, **by
            )


def _to_store(
    collection: Collection, given: PreparedImportedDocument, model: str | None, path: str
) -> _ToStore:
    embedding, field = given.document.embedding, f"{path}.embedding"
    if not collection.is_embedded_by_model:
        check_embedding(collection, embedding, field)
        return _ToStore(given, EmbeddingState.EMBEDDED)
    if embedding is not None:
        check_dimensions(embedding, collection.dimensions, field)
    if not given.document.content:
        raise InvalidField(f"{path}.content is empty: the model embeds it.", f"{path}.content")
    if model is None or model != collection.model:
        return _ToStore(given, EmbeddingState.WAITING)
    if embedding is not None:
        return _ToStore(given, EmbeddingState.EMBEDDED)
    return _ToStore(given, EmbeddingState.REJECTED if given.is_rejected else EmbeddingState.WAITING)


def _insert(
    tx: Transaction, name: str, missing: Sequence[_ToStore], owners: dict[str, User]
) -> None:
    collection = collections.lock(tx, name, added=len(missing))
    first = collection.last_seq - len(missing) + 1
    rows = [_row(tx, collection, seq, each, owners) for seq, each in enumerate(missing, first)]
    tx.defer_many("add_document", rows)
    vectors = [
        {"collection": collection.number, "seq": seq, "vector": each.given.document.vector}
        for seq, each in enumerate(missing, first)
        if each.has_embedding
    ]
    tx.defer_many("add_document_vector", vectors)
    if not collection.is_embedded_by_model:
        return
    # They were counted as waiting.
    waiting = sum(each.state == EmbeddingState.WAITING for each in missing)
    tx.defer(
        "count_documents",
        collection=collection.number,
        documents=0,
        embedded=len(vectors),
        waiting=waiting - len(missing),
    )


def _row(
    tx: Transaction, collection: Collection, seq: int, each: _ToStore, owners: dict[str, User]
) -> dict[str, Any]:
    given, document = each.given, each.given.document
    times = _times(tx, given)
    return {
        "collection": collection.number,
        "seq": seq,
        "uuid": given.uuid or tx.new_uuid(),
        "document_id": document.document_id,
        "user_id": document.user_id,
        "user_uuid": None if document.user_id is None else owners[document.user_id].uuid,
        "embedding_state": each.state,
        "revision": given.revision or 1,
        "created_at": times["created_at"] or tx.now,
        "updated_at": times["updated_at"] or tx.now,
        "metadata": document.metadata,
        "content": document.content,
        "embedding": document.embedding if each.has_embedding else None,
    }
