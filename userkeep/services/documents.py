"""Documents: add, read, update, list and delete them.

Whatever changes documents locks their collection first (`collections.lock`); before that, what adds
documents of users locks these, as everything that adds data of a user does.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from userkeep.domain.collection import Collection
from userkeep.domain.document import (
    MAX_BATCH,
    Document,
    EmbeddingState,
    NewDocument,
    PreparedChange,
    PreparedDocument,
    prepare_document,
)
from userkeep.domain.errors import InvalidField, NotFound
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User, no_such_user
from userkeep.domain.values.filters import Node
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.metadata import Merge, encode_json
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.ranking import StoredVector
from userkeep.services import (
    changes,
    collections,
    document_checks,
    document_deletions,
    quotas,
    users,
)
from userkeep.services.quotas import AddedText


class DocumentDeletion(NamedTuple):
    """Documents that were deleted together.

    Attributes:
        uuid: of the deletion.
        collection_uuid: of their collection.
        document_uuids: their uuids; none if none of them was there.
        started_at: when.
    """

    uuid: str
    collection_uuid: str
    document_uuids: list[str]
    started_at: Instant

    @property
    def deleted_count(self) -> int:
        """How many documents were deleted."""
        return len(self.document_uuids)


def prepare(
    new: Sequence[NewDocument], at_most: int = MAX_BATCH, path: str = "documents"
) -> list[PreparedDocument]:
    """Check documents to add, before the transaction, in which other writers would wait.

    Raises:
        InvalidField: naming the field, by its path (`documents[3].embedding`).
    """
    if len(new) > at_most:
        raise InvalidField(f"{path} has {len(new):,} items, more than {at_most:,}. Split it.", path)
    prepared = [prepare_document(each, f"{path}[{index}]") for index, each in enumerate(new)]
    document_checks.check_ids_differ(prepared, path)
    return prepared


def add(
    tx: Transaction, name: str, new: Sequence[PreparedDocument], path: str = "documents"
) -> list[Document]:
    """Add documents to a collection, all or none.

    Args:
        name: of the collection.
        new: the documents, from `prepare`.
        path: of the documents in the request, for errors.

    Returns:
        The documents, in this order, without their embeddings.

    Raises:
        NotFound: there is no such collection, or no such user. Gone: a user is being deleted.
        AlreadyExists: a document_id is used. InvalidField: naming the field.
        QuotaExceeded: a user would have too much.
    """
    owner_ids = [_owner_id(tx, each) for each in new]
    quotas.lock_users(tx, owner_ids)
    # In one order, so that two writers cannot wait for each other.
    to_lock = sorted({each for each in owner_ids if each is not None})
    owners = {each: users.lock_shared(tx, each) for each in to_lock}
    collection = collections.lock(tx, name, added=len(new))
    for index, each in enumerate(new):
        document_checks.check_embedding(collection, each.embedding, f"{path}[{index}].embedding")
    document_checks.check_ids_are_free(tx, collection, new, path)
    seqs = range(collection.last_seq - len(new) + 1, collection.last_seq + 1)
    added = [
        _to_document(tx, collection, seq, each, owner_id)
        for seq, each, owner_id in zip(seqs, new, owner_ids, strict=True)
    ]
    rows = [
        _row(collection, document, each, owners.get(document.user_id or ""))
        for document, each in zip(added, new, strict=True)
    ]
    tx.defer_many("add_document", rows)
    vectors = [
        StoredVector(seq, each.vector)
        for seq, each in zip(seqs, new, strict=True)
        if each.vector is not None
    ]
    _set_vectors(tx, collection, vectors)
    quotas.check_documents(tx, (_added_text(each) for each in added))
    return added


def get(
    tx: Transaction,
    name: str,
    *,
    uuid: str | None = None,
    document_id: str | None = None,
    has_embedding: bool = True,
) -> Document:
    """Return a document, by its uuid or by the app's id.

    Args:
        has_embedding: whether to read its embedding.

    Raises:
        NotFound: there is no such collection or document.
    """
    collection = collections.get(tx, name)
    return _get(tx, collection, uuid, document_id, has_embedding=has_embedding)


def uuid_of(tx: Transaction, name: str, document_id: str) -> str:
    """Return the uuid of a document, by the app's id; by the uuid, if it has no such id.

    Raises:
        NotFound: there is no such collection or document.
    """
    uuids = uuids_of(tx, name, [document_id])
    if not uuids:
        raise _no_such_document(None, document_id)
    return uuids[0]


def uuids_of(tx: Transaction, name: str, document_ids: Sequence[str]) -> list[str]:
    """Return the uuids of those of the documents that there are, as `uuid_of` does.

    Raises:
        NotFound: there is no such collection.
    """
    collection = collections.get(tx, name)
    given = [each for each in document_ids if "\0" not in each]
    uuids = [each.lower() for each in given if is_uuid(each)]
    selection: dict[str, Any] = {"collection": collection.number, **visible(tx)}
    ids = encode_json(given).decode()
    found = tx.fetch_all("uuids_of_documents", str, ids=ids, **selection)
    if uuids:
        ids = encode_json(uuids).decode()
        found += tx.fetch_all("uuids_of_documents", str, uuids=ids, **selection)
    return found


def select(
    tx: Transaction,
    name: str,
    *,
    uuids: Sequence[str] = (),
    document_ids: Sequence[str] = (),
) -> list[Document]:
    """Return those of the documents with these uuids or ids that there are, with embeddings.

    Raises:
        NotFound: there is no such collection.
    """
    collection = collections.get(tx, name)
    if not uuids and not document_ids:
        return []
    by = {
        "uuids": encode_json([each for each in uuids if is_uuid(each)]).decode() if uuids else None,
        "ids": encode_json(document_ids).decode() if document_ids else None,
    }
    number = collection.number
    by |= visible(tx)
    return tx.fetch_all("documents_among", Document, collection=number, embedding=True, **by)


def page(
    tx: Transaction,
    name: str,
    page: PageRequest,
    *,
    user_id: str | None = None,
    filter: Node | None = None,
    has_embedding: bool = False,
) -> Rows[Document]:
    """Return a page of documents, in the order in which they were added.

    Args:
        user_id: whose documents; None: all.
        filter: on metadata.
        has_embedding: whether to read their embeddings.

    Raises:
        NotFound: there is no such collection.
    """
    collection = collections.get(tx, name)
    rows = tx.fetch_page(
        "list_documents",
        Document,
        collection=collection.number,
        user_id=user_id,
        filter=filter,
        embedding=has_embedding or None,
        **visible(tx),
        **page.values,
    )
    return page.cut(rows)


def update(
    tx: Transaction,
    name: str,
    change: PreparedChange,
    *,
    uuid: str | None = None,
    document_id: str | None = None,
    if_revision: int | None = None,
    merge: Merge | None = None,
) -> Document:
    """Update a document. Nothing changes if all fields have their values already.

    A changed text of a collection that is embedded by the model is embedded again; until then the
    document is found by nothing but its metadata.

    Args:
        merge: how metadata is merged; None replaces it.

    Raises:
        NotFound: there is no such collection or document. AlreadyExists: the document_id is used.
        RevisionMismatch: `if_revision` is not the current one. InvalidField: naming the field.
        QuotaExceeded: the user would have too much.
    """
    _lock_owner(tx, name, uuid, document_id)
    collection = collections.lock(tx, name)
    before = _get(tx, collection, uuid, document_id, has_embedding=True)
    changes.check_revision(before.revision, if_revision)
    if merge is not None:
        merged = changes.merge_metadata(before.metadata, change.metadata, merge)
        change = change._replace(fields={**change.fields, "metadata": merged})
    after = _changed(collection, before, change)
    if after == before:
        return before
    if after.document_id != before.document_id:
        document_checks.check_id_is_free(tx, collection, after.document_id)
    after.revision += 1
    after.updated_at = tx.now
    _set(tx, collection, before, after)
    if change.vector is not None:
        _set_vectors(tx, collection, [StoredVector(after.seq, change.vector)])
    elif after.embedding is None:
        _remove_vectors(tx, collection, [after.seq])
    # The former text or embedding is in the files until a purge.
    tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    quotas.check_documents(tx, [_added_text(after, before)])
    return after


def delete(
    tx: Transaction,
    name: str,
    *,
    uuids: Sequence[str] = (),
    document_ids: Sequence[str] = (),
    if_revision: int | None = None,
) -> DocumentDeletion:
    """Delete documents; a job then records them in the deletion ledger.

    Args:
        if_revision: what the revision of each must be.

    Raises:
        NotFound: there is no such collection. RevisionMismatch: a revision is another.
    """
    collection = collections.lock(tx, name)
    found = select(tx, name, uuids=uuids, document_ids=document_ids)
    for each in found:
        changes.check_revision(each.revision, if_revision)
    deleted = [each.uuid for each in found]
    deletion = DocumentDeletion(tx.new_uuid(), collection.uuid, deleted, tx.now)
    if not found:
        return deletion
    tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    collections.add_deletions(tx, collection, deleted)
    document_deletions.delete(tx, collection.number, [each.seq for each in found])
    return deletion


def visible(tx: Transaction) -> dict[str, Any]:
    """Return the condition that hides the documents of users who are being deleted."""
    hidden = tx.fetch_all("users_being_deleted", str)
    return {"hidden_users": encode_json(hidden).decode() if hidden else None}


def _get(
    tx: Transaction,
    collection: Collection,
    uuid: str | None,
    document_id: str | None,
    *,
    has_embedding: bool,
) -> Document:
    document = None
    is_possible = (uuid is None or is_uuid(uuid)) and "\0" not in (document_id or "")
    if is_possible:
        document = tx.fetch_one(
            "get_document",
            Document,
            collection=collection.number,
            uuid=uuid and uuid.lower(),
            document_id=document_id,
            embedding=has_embedding or None,
            **visible(tx),
        )
    if document is None:
        raise _no_such_document(uuid, document_id)
    return document


def _no_such_document(uuid: str | None, document_id: str | None) -> NotFound:
    named = f"the uuid {uuid!r}" if document_id is None else f"the id {document_id!r}"
    return NotFound(f"There is no document with {named} in this collection.")


def _changed(collection: Collection, before: Document, change: PreparedChange) -> Document:
    """Return a document with a change; a new text waits for the model, if that embeds it."""
    after = msgspec.structs.replace(before, **change.fields)
    if change.embedding is not None:
        document_checks.check_embedding(collection, change.embedding, "embedding")
        after.embedding = change.embedding
    if not collection.is_embedded_by_model or after.content == before.content:
        return after
    if not after.content:
        raise InvalidField("content cannot be empty: the model embeds it.", "content")
    after.embedding, after.embedding_state = None, EmbeddingState.WAITING
    return after


def _lock_owner(tx: Transaction, name: str, uuid: str | None, document_id: str | None) -> None:
    """Lock the user whose document is to be changed, if there is a quota."""
    if tx.scope.quota is not None:
        found = get(tx, name, uuid=uuid, document_id=document_id, has_embedding=False)
        quotas.lock_users(tx, [found.user_id])


def _added_text(document: Document, before: Document | None = None) -> AddedText:
    """Return what counts for a quota of a new document, or of a change."""
    byte_count = len(document.content.encode())
    if before is None:
        return AddedText(document.user_id, 1, byte_count)
    return AddedText(document.user_id, 0, byte_count - len(before.content.encode()))


def _owner_id(tx: Transaction, new: PreparedDocument) -> str | None:
    """Return whose document is added: in the scope of a user, theirs."""
    scope_user_id = tx.scope.user_id
    if scope_user_id is None or new.user_id == scope_user_id:
        return new.user_id
    if new.user_id is not None:
        raise no_such_user(new.user_id)
    return scope_user_id


def _to_document(
    tx: Transaction,
    collection: Collection,
    seq: int,
    new: PreparedDocument,
    owner_id: str | None,
) -> Document:
    state = EmbeddingState.WAITING
    if not collection.is_embedded_by_model:
        state = EmbeddingState.EMBEDDED
    return Document(
        seq=seq,
        uuid=tx.new_uuid(),
        document_id=new.document_id,
        user_id=owner_id,
        embedding_state=state,
        revision=1,
        created_at=tx.now,
        updated_at=tx.now,
        metadata=new.metadata,
        content=new.content,
    )


def _row(
    collection: Collection, document: Document, new: PreparedDocument, owner: User | None
) -> dict[str, Any]:
    return {
        "collection": collection.number,
        "seq": document.seq,
        "uuid": document.uuid,
        "document_id": document.document_id,
        "user_id": document.user_id,
        "user_uuid": None if owner is None else owner.uuid,
        "embedding_state": document.embedding_state,
        "revision": document.revision,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
        "metadata": document.metadata,
        "content": document.content,
        "embedding": new.embedding,
    }


def _set(tx: Transaction, collection: Collection, before: Document, after: Document) -> None:
    tx.defer(
        "set_document",
        collection=collection.number,
        seq=after.seq,
        document_id=after.document_id,
        metadata=after.metadata,
        content=after.content,
        embedding_state=after.embedding_state,
        revision=after.revision,
        now_at=tx.now,
        embedding=after.embedding,
        sets_embedding=True if after.embedding != before.embedding else None,
    )
    if after.embedding_state != before.embedding_state:
        change = {EmbeddingState.EMBEDDED: 0, EmbeddingState.WAITING: 0, EmbeddingState.REJECTED: 0}
        change[EmbeddingState(before.embedding_state)] -= 1
        change[EmbeddingState(after.embedding_state)] += 1
        tx.defer(
            "count_documents",
            collection=collection.number,
            documents=0,
            embedded=change[EmbeddingState.EMBEDDED],
            waiting=change[EmbeddingState.WAITING],
        )


def _set_vectors(tx: Transaction, collection: Collection, vectors: Sequence[StoredVector]) -> None:
    rows = [
        {"collection": collection.number, "seq": seq, "vector": vector} for seq, vector in vectors
    ]
    tx.defer_many("add_document_vector", rows)


def _remove_vectors(tx: Transaction, collection: Collection, seqs: Sequence[int]) -> None:
    numbers = encode_json(seqs).decode()
    tx.defer("delete_document_vectors", collection=collection.number, numbers=numbers)
