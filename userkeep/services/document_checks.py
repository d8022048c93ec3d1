"""What is checked before a document is stored: its embedding, and that its id is not used."""

from collections.abc import Sequence

from userkeep.domain.collection import Collection
from userkeep.domain.document import PreparedDocument
from userkeep.domain.errors import AlreadyExists, InvalidField
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.vectors.encoding import check_dimensions


def check_embedding(collection: Collection, embedding: bytes | None, field: str) -> None:
    """Check that the embedding is given if the caller makes it, and only then, in full length.

    Args:
        field: of the embedding in the request, for errors.

    Raises:
        InvalidField: naming the field.
    """
    if collection.is_embedded_by_model:
        if embedding is not None:
            raise InvalidField(
                f"{field} cannot be given: the embedding model makes the embeddings of this "
                "collection.",
                field,
            )
        return
    if embedding is None:
        raise InvalidField(
            f"{field} is missing: the caller makes the embeddings of this collection.", field
        )
    check_dimensions(embedding, collection.dimensions, field)


def check_ids_differ(new: Sequence[PreparedDocument], path: str) -> None:
    """Check that no two documents of a request have the same document_id.

    Args:
        path: of the documents in the request, for errors.

    Raises:
        InvalidField: naming the field.
    """
    known: set[str] = set()
    for index, each in enumerate(new):
        if each.document_id in known:
            field = f"{path}[{index}].document_id"
            raise InvalidField(
                f"{field} is that of a document before it: {each.document_id!r}.", field
            )
        if each.document_id is not None:
            known.add(each.document_id)


def check_ids_are_free(
    tx: Transaction, collection: Collection, new: Sequence[PreparedDocument], path: str
) -> None:
    """Check that no document of the collection has a document_id of the new ones.

    Args:
        path: of the documents in the request, for errors.

    Raises:
        AlreadyExists: naming the field of the first one that is used.
    """
    given = {each.document_id: at for at, each in enumerate(new) if each.document_id is not None}
    if not given:
        return
    used = _used(tx, collection, list(given))
    if used:
        first = min(used, key=given.__getitem__)
        raise _already_exists(first, f"{path}[{given[first]}].document_id")


def check_id_is_free(tx: Transaction, collection: Collection, document_id: str | None) -> None:
    """Check that no document of the collection has this document_id.

    Raises:
        AlreadyExists: one has it.
    """
    if document_id is None:
        return
    if _used(tx, collection, [document_id]):
        raise _already_exists(document_id, "document_id")


def _used(tx: Transaction, collection: Collection, document_ids: Sequence[str]) -> list[str]:
    ids = encode_json(document_ids).decode()
    return tx.fetch_all("used_document_ids", str, collection=collection.number, ids=ids)


def _already_exists(document_id: str, field: str) -> AlreadyExists:
    return AlreadyExists(
        f"A document with the document_id {document_id!r} is already in the collection.", field
    )
