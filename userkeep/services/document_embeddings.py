"""Embeddings of documents that the configured model makes, in batches, by a job.

The documents that wait are the work list. A lease on a collection says which process embeds them.
What the model returns is written only for documents that are still there, unchanged.
"""

from collections.abc import Sequence
from typing import NamedTuple

from userkeep.domain.collection import Collection
from userkeep.domain.document import EmbeddingState
from userkeep.domain.embedding import LONGEST_EMBEDDED_TEXT, EmbeddingModel
from userkeep.domain.errors import NotFound
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, MINUTE, Instant
from userkeep.domain.vectors.encoding import FLOAT_BYTES, quantize_embedding
from userkeep.services import collections, documents, embeddings

LEASE_US = 2 * MINUTE
"""Longer than the model may take for a batch."""

_RESTARTED_AT_ONCE = 200


class WaitingDocument(NamedTuple):
    """A document to embed.

    Attributes:
        revision: what it must still have when the embedding is written.
        user_id: whose it is, if it is a user's.
        text: the beginning of its content.
        may_embed: whether its text may be given to the model: not if its user is not to be
            embedded.
    """

    seq: int
    revision: int
    user_id: str | None
    text: str
    may_embed: bool = True


class EmbeddedDocument(NamedTuple):
    """What the model has returned for a document.

    Attributes:
        embedding: float32; None if the model rejects the text.
    """

    seq: int
    revision: int
    embedding: bytes | None


class _Lease(NamedTuple):
    expires_at: Instant


def waiting_collections(tx: Transaction, model: EmbeddingModel) -> list[Collection]:
    """Return the collections with documents to embed, on which no process works."""
    if not embeddings.may_embed_query(tx, None, None):
        return []
    found = tx.fetch_all(
        "waiting_collections", Collection, now_at=tx.now, latest_at=_latest_lease_at(tx)
    )
    return [each for each in found if each.model == model.fingerprint]


def acquire(
    tx: Transaction, collection: Collection, held_until_at: Instant | None = None
) -> Instant | None:
    """Acquire or renew the lease of a collection; return until when, or None if another has it."""
    lease = tx.fetch_one(
        "acquire_collection_lease",
        _Lease,
        name=collection.name,
        collection=collection.number,
        now_at=tx.now,
        latest_at=_latest_lease_at(tx),
        held_until_at=held_until_at,
        expires_at=Instant(tx.now + LEASE_US),
    )
    return None if lease is None else lease.expires_at


def release(tx: Transaction, collection: Collection, held_until_at: Instant) -> None:
    """Release a lease."""
    number = collection.number
    tx.defer("release_collection_lease", collection=number, held_until_at=held_until_at)


def release_leases(tx: Transaction) -> None:
    """Release all leases: no other process uses the database, so their holders have ended."""
    tx.defer("release_collection_leases")


def waiting_documents(tx: Transaction, collection: Collection, limit: int) -> list[WaitingDocument]:
    """Return documents to embed, in their order; none if the project is not to be embedded."""
    if not embeddings.may_embed_query(tx, None, None):
        return []
    found = tx.fetch_all(
        "waiting_documents",
        WaitingDocument,
        collection=collection.number,
        limit=limit,
        length=LONGEST_EMBEDDED_TEXT,
        **documents.visible(tx),
    )
    owners = {each.user_id for each in found if each.user_id is not None}
    left_out = {each for each in owners if not embeddings.may_embed_query(tx, each, None)}
    return [each._replace(may_embed=each.user_id not in left_out) for each in found]


def write(tx: Transaction, collection: Collection, embedded: Sequence[EmbeddedDocument]) -> int:
    """Write what the model has returned; return for how many documents.

    Nothing is written for a document that was deleted or changed, or if the collection was.

    Raises:
        NotFound: the collection was deleted.
    """
    current = collections.lock(tx, collection.name)
    if (current.number, current.model) != (collection.number, collection.model):
        raise NotFound("The collection was deleted.")
    written = {EmbeddingState.EMBEDDED: 0, EmbeddingState.REJECTED: 0}
    for each in embedded:
        state = EmbeddingState.REJECTED if each.embedding is None else EmbeddingState.EMBEDDED
        is_there = tx.execute(
            "set_document_embedding",
            collection=collection.number,
            seq=each.seq,
            revision=each.revision,
            embedding=each.embedding,
            embedding_state=state,
        )
        written[state] += is_there
        if is_there and each.embedding is not None:
            vector = quantize_embedding(each.embedding)
            values = {"collection": collection.number, "seq": each.seq, "vector": vector}
            tx.defer("add_document_vector", **values)
    count = sum(written.values())
    embedded_count = written[EmbeddingState.EMBEDDED]
    tx.defer(
        "count_documents",
        collection=collection.number,
        documents=0,
        embedded=embedded_count,
        waiting=-count,
    )
    return count


def has_dimensions(collection: Collection, embedding: bytes) -> bool:
    """Return whether an embedding has as many dimensions as the collection."""
    return len(embedding) == collection.dimensions * FLOAT_BYTES


def next_of_other_model(tx: Transaction, model: EmbeddingModel, after: int) -> Collection | None:
    """Return the next collection, after a number, whose embeddings are those of another model."""
    return tx.fetch_one(
        "collections_of_other_models", Collection, model=model.fingerprint, after=after
    )


def restart(
    tx: Transaction, collection: Collection, model: EmbeddingModel, after: int
) -> int | None:
    """Let a batch of documents wait for another model, and remove their vectors.

    Args:
        after: what the last call returned; 0 at first.

    Returns:
        Up to which number this is done; None at the end, when the collection has the model.
    """
    current = collections.lock(tx, collection.name)
    if current.number != collection.number:
        return None
    last = after + _RESTARTED_AT_ONCE
    numbers = encode_json(list(range(after + 1, last + 1))).decode()
    batch = {"collection": collection.number, "numbers": numbers}
    states = tx.fetch_all("embedding_states", str, **batch)
    tx.defer("wait_for_embedding", **batch)
    tx.defer("delete_document_vectors", **batch)
    tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    tx.defer(
        "count_documents",
        collection=collection.number,
        documents=0,
        embedded=-sum(state == EmbeddingState.EMBEDDED for state in states),
        waiting=sum(state != EmbeddingState.WAITING for state in states),
    )
    if last < current.last_seq:
        return last
    tx.defer("set_collection_model", collection=collection.number, model=model.fingerprint)
    return None


def _latest_lease_at(tx: Transaction) -> Instant:
    return Instant(tx.now + LEASE_US + MAX_CLOCK_ERROR_US)
