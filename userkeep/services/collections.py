"""Collections: create, read, update, list and delete them.

A deletion removes the collection's row, which hides all of its documents, and then deletes these in
batches. Nothing can be added to it after that: every change of documents begins with an update of
this row. The name can be used again immediately.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from userkeep.domain.collection import (
    Collection,
    CollectionChange,
    NewCollection,
    check_description,
    fold_collection_name,
)
from userkeep.domain.embedding import EmbeddingModel
from userkeep.domain.errors import AlreadyExists, Conflict, InvalidField, NotFound
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import Merge, encode_metadata
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.index import LargeCollection
from userkeep.services import changes, document_deletions
from userkeep.services.document_deletions import DeletedBatch

NO_MODEL = (
    "No embedding model is configured, so none can embed the documents of this collection. Set "
    "USERKEEP_EMBEDDINGS_URL or USERKEEP_EMBEDDINGS_FOLDER, or send the embeddings yourself."
)


class CollectionDeletion(NamedTuple):
    """A collection whose documents are being deleted.

    Attributes:
        collection: its number.
        uuid: its uuid.
    """

    collection: int
    uuid: str
    started_at: Instant


def add(tx: Transaction, new: NewCollection, model: EmbeddingModel | None = None) -> Collection:
    """Create a collection.

    Args:
        model: the configured embedding model.

    Raises:
        AlreadyExists: the name is used. Conflict: it is to be embedded by a model, and there is
            none. InvalidField: naming the field.
    """
    new.check()
    collection = insert(tx, new, model)
    if collection is None:
        name = fold_collection_name(new.name)
        raise AlreadyExists(f"A collection with the name {name!r} already exists.", "name")
    return collection


def insert(
    tx: Transaction, new: NewCollection, model: EmbeddingModel | None, **known: Any
) -> Collection | None:
    """Create a collection, which was checked; return None if its name is used.

    Args:
        model: what makes its embeddings, unless callers do.
        known: the columns that an import knows. Others are those of a new collection.

    Raises:
        Conflict: it is to be embedded by a model, and there is none. InvalidField: naming the
            field.
    """
    assigned = {
        "uuid": tx.new_uuid(),
        "dimensions": _dimensions(new, model),
        "model": model.fingerprint if model and new.embedded_by == "model" else None,
        "revision": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    return tx.fetch_one(
        "add_collection",
        Collection,
        name=fold_collection_name(new.name),
        description=new.description,
        metadata=encode_metadata(new.metadata),
        embedded_by=new.embedded_by,
        **assigned | known,
    )


def find(tx: Transaction, name: str) -> Collection | None:
    """Return a collection; None if there is none with this name."""
    return tx.fetch_one("get_collection", Collection, name=_key(name))


def get(tx: Transaction, name: str) -> Collection:
    """Return a collection.

    Raises:
        NotFound: there is no such collection.
    """
    return _found(find(tx, name), name)


def lock(tx: Transaction, name: str, added: int = 0) -> Collection:
    """Return a collection, locked against changes until this transaction ends.

    Whatever changes its documents calls it first.

    Args:
        added: how many documents the transaction adds; they have the last numbers.

    Raises:
        NotFound: there is no such collection.
    """
    key = _key(name)
    return _found(tx.fetch_one("change_documents", Collection, name=key, count=added), name)


def update(
    tx: Transaction,
    name: str,
    change: CollectionChange,
    merge: Merge,
    if_revision: int | None = None,
) -> Collection:
    """Update a collection. Nothing changes if all fields have their values already.

    Raises:
        NotFound: there is no such collection. RevisionMismatch: `if_revision` is not the current
            one. InvalidField: naming the field.
    """
    collection = lock(tx, name)
    changes.check_revision(collection.revision, if_revision)
    description = collection.description
    if change.description is not UNSET:
        check_description(change.description)
        description = change.description
    fields: dict[str, Any] = {
        "description": description,
        "metadata": changes.merge_metadata(collection.metadata, change.metadata, merge),
    }
    if all(getattr(collection, field) == value for field, value in fields.items()):
        return collection
    # A former text is in the files until a purge.
    tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    revision = collection.revision + 1
    changed = tx.fetch_one(
        "set_collection",
        Collection,
        name=collection.name,
        revision=revision,
        now_at=tx.now,
        **fields,
    )
    return _found(changed, name)


def page(tx: Transaction, page: PageRequest) -> Rows[Collection]:
    """Return a page of collections, in the order of their creation."""
    return page.cut(tx.fetch_page("list_collections", Collection, **page.values))


def large(tx: Transaction, least: int) -> list[LargeCollection]:
    """Return the collections of all projects that have so many embeddings or more."""
    tx.see_all_projects()
    return tx.fetch_all("large_collections", LargeCollection, least=least)


def begin_deletion(
    tx: Transaction, name: str, if_revision: int | None = None
) -> CollectionDeletion:
    """Delete a collection, which hides its documents.

    Raises:
        NotFound: there is no such collection. RevisionMismatch: `if_revision` is not the current
            one.
    """
    collection = lock(tx, name)
    changes.check_revision(collection.revision, if_revision)
    add_deletions(tx, collection, [None])
    return _begin_deletion(tx, collection)


def _begin_deletion(tx: Transaction, collection: Collection) -> CollectionDeletion:
    deletion = CollectionDeletion(collection.number, collection.uuid, tx.now)
    number = collection.number
    tx.defer("add_collection_deletion", collection=number, uuid=deletion.uuid, now_at=tx.now)
    tx.defer("delete_collection", collection=number)
    tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    return deletion


def add_deletions(
    tx: Transaction, collection: Collection, document_uuids: Sequence[str | None]
) -> None:
    """Store what is deleted, by which a database and its deletion ledger are compared.

    Args:
        document_uuids: of the documents of the collection; None for the whole collection.
    """
    deleted: dict[str, Any] = {
        "collection": collection.number,
        "collection_uuid": collection.uuid,
        "now_at": tx.now,
    }
    tx.defer_many(
        "add_document_deletion", [{**deleted, "document_uuid": each} for each in document_uuids]
    )


def advance_deletion(tx: Transaction, deletion: CollectionDeletion, after: int = 0) -> DeletedBatch:
    """Delete a batch of the documents of a deleted collection. Two processes may do this at once.

    Args:
        after: the number of the last document that was deleted.
    """
    batch = document_deletions.delete_of_collection(tx, deletion.collection, after)
    if batch.last is None:
        tx.defer("end_collection_deletion", collection=deletion.collection)
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    return batch


def deletions(tx: Transaction, limit: int = 100) -> list[CollectionDeletion]:
    """Return the deletions of collections that are not finished."""
    return tx.fetch_all("collection_deletions", CollectionDeletion, limit=limit)


def remove_any(tx: Transaction) -> int | None:
    """Delete a batch of the collections of a deleted project.

    Returns:
        How many documents were deleted; None if no collection is left.
    """
    begun = deletions(tx, limit=1)
    if begun:
        return advance_deletion(tx, begun[0]).deleted
    name = tx.fetch_one("first_collection", str)
    if name is None:
        return None
    _begin_deletion(tx, lock(tx, name))
    return 0


def _dimensions(new: NewCollection, model: EmbeddingModel | None) -> int:
    if new.embedded_by == "caller":
        return new.dimensions or 0
    if model is None:
        raise Conflict(NO_MODEL, "embedded_by")
    if new.dimensions is None and model.dimensions is None:
        raise InvalidField(
            "dimensions is missing: it is not known yet how many the configured embedding model "
            "makes.",
            "dimensions",
        )
    if None not in {new.dimensions, model.dimensions} and new.dimensions != model.dimensions:
        raise InvalidField(
            f"dimensions must be {model.dimensions}, as the configured embedding model makes them; "
            f"got {new.dimensions}.",
            "dimensions",
        )
    return new.dimensions or model.dimensions or 0


def _key(name: str) -> str:
    return fold_collection_name(name).replace("\0", "")


def _found(collection: Collection | None, name: str) -> Collection:
    if collection is None:
        raise NotFound(f"There is no collection with the name {name!r}.")
    return collection
