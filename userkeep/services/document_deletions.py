"""Deletion of the documents of a user or of a collection, in batches."""

from collections.abc import Sequence
from typing import NamedTuple

from userkeep.domain.document import EmbeddingState
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json

BATCH_MS = 20
BATCH_DOCUMENTS = 50
BATCH_BYTES = 2 * 1024 * 1024
"""A batch has at most so many documents, of so many bytes of text; or one."""


class DeletedBatch(NamedTuple):
    """A batch of documents that were deleted.

    Attributes:
        deleted: how many they were.
        last: the number of the last one; None if there are no more.
    """

    deleted: int
    last: int | None


class _ToDelete(NamedTuple):
    collection: int
    seq: int
    content_bytes: int


def is_batch_over(tx: Transaction) -> bool:
    """Return whether a transaction has deleted for long enough: other writers wait."""
    return tx.spent_ms() > BATCH_MS


def delete_of_user(tx: Transaction, user_id: str) -> tuple[int, bool]:
    """Delete a batch of the documents of a user who is being deleted.

    Returns:
        How many were deleted, and whether all are.
    """
    count = 0
    while True:
        found = tx.fetch_all(
            "next_documents_of_user", _ToDelete, user_id=user_id, limit=BATCH_DOCUMENTS
        )
        if not found:
            return count, True
        # The order is that of the collections, so two deletions cannot wait for each other.
        batch = _first_of(found)
        count += delete(tx, batch[0].collection, [each.seq for each in batch])
        if is_batch_over(tx):
            return count, False


def delete_of_collection(tx: Transaction, collection: int, after: int) -> DeletedBatch:
    """Delete a batch of the documents of a collection that was deleted, after a number."""
    count = 0
    while True:
        found = tx.fetch_all(
            "next_documents_of_collection",
            _ToDelete,
            collection=collection,
            after=after,
            limit=BATCH_DOCUMENTS,
        )
        if not found:
            return DeletedBatch(count, None)
        batch = _first_of(found)
        count += len(_delete(tx, collection, [each.seq for each in batch]))
        after = batch[-1].seq
        if is_batch_over(tx):
            return DeletedBatch(count, after)


def delete(tx: Transaction, collection: int, seqs: Sequence[int]) -> int:
    """Delete documents of a collection, and count them; return how many there were."""
    # First the lock: a job may be changing their states.
    tx.defer("count_documents", collection=collection, documents=0, embedded=0, waiting=0)
    states = _delete(tx, collection, seqs)
    tx.defer(
        "count_documents",
        collection=collection,
        documents=-len(states),
        embedded=-states.count(EmbeddingState.EMBEDDED),
        waiting=-states.count(EmbeddingState.WAITING),
    )
    return len(states)


def _delete(tx: Transaction, collection: int, seqs: Sequence[int]) -> list[str]:
    numbers = encode_json(seqs).decode()
    tx.defer("delete_document_vectors", collection=collection, numbers=numbers)
    return tx.fetch_all("delete_documents", str, collection=collection, numbers=numbers)


def _first_of(found: list[_ToDelete]) -> list[_ToDelete]:
    """Return the first documents: of one collection, with short texts; at least one."""
    size_bytes = 0
    for count, each in enumerate(found):
        size_bytes += each.content_bytes
        if count and (size_bytes > BATCH_BYTES or each.collection != found[0].collection):
            return found[:count]
    return found
