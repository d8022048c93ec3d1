"""Embeddings of documents that the configured model makes, in batches, by a job.

The documents that wait are the work list. A lease on a collection says which process embeds them.
What the model returns is written only for documents that are still there, unchanged.

Where a user is not to be embedded any more, or is again, the collections with their documents are
reviewed first, in batches: embeddings that must not be there are removed. A document of such a user
is `rejected`; those of a project that is not to be embedded wait.
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
_REVIEWED_AT_ONCE = 200


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


class _Reviewed(NamedTuple):
    seq: int
    user_id: str | None
    embedding_state: str


def waiting_collections(tx: Transaction, model: EmbeddingModel | None) -> list[Collection]:
    """Return the collections with documents to review or to embed, on which no process works.

    Args:
        model: the configured one; None: there are documents to review only.
    """
    fingerprint = model.fingerprint if model is not None and _may_embed(tx) else None
    found = tx.fetch_all(
        "waiting_collections", Collection, now_at=tx.now, latest_at=_latest_lease_at(tx)
    )
    return [
        each
        for each in found
        if each.reviewed_seq is not None or (fingerprint and each.model == fingerprint)
    ]


def collections_to_empty(tx: Transaction) -> list[int]:
    """Return the collections with embeddings, if the project is not to be embedded any more."""
    return [] if _may_embed(tx) else tx.fetch_all("embedded_collections", int)


def review_all(tx: Transaction, numbers: Sequence[int]) -> None:
    """Let the documents of collections be reviewed."""
    for number in numbers:
        tx.defer("review_collection", collection=number)


def review(tx: Transaction, collection: Collection) -> bool:
    """Review a batch of documents: remove embeddings that must not be there, or make them wait.

    Returns:
        Whether all documents are reviewed.

    Raises:
        NotFound: the collection was deleted.
    """
    current = collections.lock(tx, collection.name)
    if current.number != collection.number or current.reviewed_seq is None:
        return True
    rows = tx.fetch_all(
        "documents_to_review",
        _Reviewed,
        collection=current.number,
        after=current.reviewed_seq,
        limit=_REVIEWED_AT_ONCE,
    )
    may_embed, left_out = _may_embed(tx), _left_out(tx, rows)
    changed: dict[EmbeddingState, list[_Reviewed]] = {}
    for each in rows:
        state = _reviewed_state(each, left_out, may_embed=may_embed)
        if state != each.embedding_state:
            changed.setdefault(state, []).append(each)
    for state, documents_of_state in changed.items():
        _remove_embeddings(tx, current, documents_of_state, state)
    is_last = len(rows) < _REVIEWED_AT_ONCE
    reviewed_seq = None if is_last else rows[-1].seq
    tx.defer("set_reviewed_seq", collection=current.number, reviewed_seq=reviewed_seq)
    return is_last


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
    if not _may_embed(tx):
        return []
    found = tx.fetch_all(
        "waiting_documents",
        WaitingDocument,
        collection=collection.number,
        limit=limit,
        length=LONGEST_EMBEDDED_TEXT,
        **documents.visible(tx),
    )
    left_out = _left_out(tx, found)
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


def has_collections_of_models(tx: Transaction) -> bool:
    """Return whether the project has a collection whose embeddings a model makes."""
    return tx.fetch_one("collection_of_a_model", int) is not None


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


def _may_embed(tx: Transaction) -> bool:
    """Return whether anything of the project may be embedded."""
    return embeddings.may_embed_query(tx, None, None)


def _left_out(
    tx: Transaction, rows: Sequence[WaitingDocument] | Sequence[_Reviewed]
) -> frozenset[str]:
    """Return which users, of those whose documents these are, are not to be embedded."""
    owners = sorted({each.user_id for each in rows if each.user_id is not None})
    if not owners:
        return frozenset()
    ids = encode_json(owners).decode()
    return frozenset(tx.fetch_all("users_not_to_embed", str, ids=ids))


def _reviewed_state(row: _Reviewed, left_out: frozenset[str], *, may_embed: bool) -> EmbeddingState:
    state = EmbeddingState(row.embedding_state)
    if row.user_id in left_out:
        return EmbeddingState.REJECTED
    if state == EmbeddingState.REJECTED and row.user_id is not None:
        return EmbeddingState.WAITING  # its user may have been left out
    if state == EmbeddingState.EMBEDDED and not may_embed:
        return EmbeddingState.WAITING
    return state


def _remove_embeddings(
    tx: Transaction, collection: Collection, rows: Sequence[_Reviewed], state: EmbeddingState
) -> None:
    """Remove the embeddings of documents, which then have this state."""
    numbers = encode_json([each.seq for each in rows]).decode()
    batch = {"collection": collection.number, "numbers": numbers}
    tx.defer("remove_document_embeddings", embedding_state=state, **batch)
    tx.defer("delete_document_vectors", **batch)
    states = [each.embedding_state for each in rows]
    embedded = states.count(EmbeddingState.EMBEDDED)
    if embedded:
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)  # until a purge, files have them
    now_waiting = len(rows) if state == EmbeddingState.WAITING else 0
    tx.defer(
        "count_documents",
        collection=collection.number,
        documents=0,
        embedded=-embedded,
        waiting=now_waiting - states.count(EmbeddingState.WAITING),
    )


def _latest_lease_at(tx: Transaction) -> Instant:
    return Instant(tx.now + LEASE_US + MAX_CLOCK_ERROR_US)
