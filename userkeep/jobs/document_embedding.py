"""Embeddings of documents that the configured model makes."""

import logging
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

from userkeep.domain.collection import Collection
from userkeep.domain.embedding import Embedder, EmbeddingFailed, TextRejected, Vector
from userkeep.domain.errors import InvalidField, NotFound
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import scoped
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.jobs.projects import project_scopes
from userkeep.jobs.steps import Embed, Read, Steps, Write
from userkeep.services import document_embeddings
from userkeep.services.document_embeddings import EmbeddedDocument, WaitingDocument

logger = logging.getLogger(__name__)

_RENEW_AFTER_S = 30.0


class _Held(NamedTuple):
    scope: Scope
    collection: Collection
    lease: Instant


class _Batch(NamedTuple):
    """What a batch has done.

    Attributes:
        embedded: how many documents got an embedding.
        next_limit: how many documents the next one has at most: half, if the model has rejected
            these together.
    """

    embedded: int
    next_limit: int


class DocumentEmbeddingJob:
    """Embeds the documents that wait, in all projects, and those of a former model again.

    Embeddings of what is not to be embedded any more are removed.

    Args:
        rules: see Rules.
        embedder: makes the embeddings. None: embeddings are only removed.

    Attributes:
        count: how many documents got an embedding.
    """

    def __init__(self, rules: Rules, embedder: Embedder | None) -> None:
        self.count = 0
        self._rules = rules
        self._embedder = embedder
        self._held: _Held | None = None
        self._renewed_at_s = 0.0

    def steps(self) -> Steps[None]:
        """Embed until nothing is left to do, except where another process does it.

        Raises:
            EmbeddingFailed: the model does not answer. What was embedded before that is stored.
        """
        yield from self.release()  # an attempt before this one may have failed
        model = None if self._embedder is None else self._embedder.model
        for scope in (yield from project_scopes(self._rules)):
            if self._embedder is not None:
                yield from _restart_other_models(scope, self._embedder)
            yield from _empty_collections(scope)
            waiting = scoped(scope, document_embeddings.waiting_collections, model)
            for collection in (yield Read(waiting)):
                yield from self._embed_collection(scope, collection)

    def release(self) -> Steps[None]:
        """Let another process continue immediately, because this one stops or waits."""
        if self._held is not None:
            scope, collection, lease = self._held
            yield Write(scoped(scope, document_embeddings.release, collection, lease))
            self._held = None

    def _embed_collection(self, scope: Scope, collection: Collection) -> Steps[None]:
        """Review and embed the documents of a collection."""
        try:
            limit = 1 if self._embedder is None else self._embedder.batch_size
            while (yield from self._acquire(scope, collection)):
                batch = yield from _embed_batch(scope, collection, self._embedder, limit)
                if batch is None:
                    break
                self.count += batch.embedded
                limit = batch.next_limit
        except NotFound:
            self._held = None  # it was deleted
        except EmbeddingFailed:
            yield from self.release()
            raise
        yield from self.release()

    def _acquire(self, scope: Scope, collection: Collection) -> Steps[bool]:
        """Acquire the lease of a collection, or renew it if that is due; return whether it is held.

        A process that is stopped while it renews does not learn what it must release.
        """
        if self._held is not None and monotonic() - self._renewed_at_s < _RENEW_AFTER_S:
            return True
        self._renewed_at_s = monotonic()
        held_until_at = None if self._held is None else self._held.lease
        acquire = document_embeddings.acquire
        lease = yield Write(scoped(scope, acquire, collection, held_until_at))
        self._held = None if lease is None else _Held(scope, collection, lease)
        return lease is not None


def _empty_collections(scope: Scope) -> Steps[None]:
    """Let all documents be reviewed if the project is not to be embedded any more."""
    numbers = yield Read(scoped(scope, document_embeddings.collections_to_empty))
    if numbers:
        yield Write(scoped(scope, document_embeddings.review_all, numbers))


def _restart_other_models(scope: Scope, embedder: Embedder) -> Steps[None]:
    """Let the documents of collections with embeddings of another model wait for this one.

    Those of another length stay: the collection's dimensions do not change.
    """
    after = 0
    find, model = document_embeddings.next_of_other_model, embedder.model
    while (collection := (yield Read(scoped(scope, find, model, after)))) is not None:
        after = collection.number
        if model.dimensions in {None, collection.dimensions}:
            yield from _restart(scope, collection, embedder)


def _restart(scope: Scope, collection: Collection, embedder: Embedder) -> Steps[None]:
    last: int | None = 0
    restart = document_embeddings.restart
    try:
        while last is not None:
            last = yield Write(scoped(scope, restart, collection, embedder.model, last))
    except NotFound:
        return  # it was deleted


def _embed_batch(
    scope: Scope, collection: Collection, embedder: Embedder | None, limit: int
) -> Steps[_Batch | None]:
    """Review or embed a batch of at most `limit` documents; None if nothing is left to do.

    The review is done under the lease, so that no other process writes what it has read before it.
    """
    if collection.reviewed_seq is not None:
        if (yield Write(scoped(scope, document_embeddings.review, collection))):
            collection.reviewed_seq = None
        return _Batch(0, limit)
    if embedder is None or collection.model != embedder.model.fingerprint:
        return None
    read = scoped(scope, document_embeddings.waiting_documents, collection, limit=limit)
    documents = yield Read(read)
    if not documents:
        return None
    embedded = [_rejected(each) for each in documents if not each.may_embed]
    to_embed = [each for each in documents if each.may_embed]
    found = yield from _embed(collection, to_embed)
    embedded += found or []
    yield Write(scoped(scope, document_embeddings.write, collection, embedded))
    count = sum(each.embedding is not None for each in embedded)
    if found is None:
        return _Batch(count, len(to_embed) // 2)
    return _Batch(count, min(limit * 2, embedder.batch_size))


def _embed(
    collection: Collection, documents: Sequence[WaitingDocument]
) -> Steps[list[EmbeddedDocument] | None]:
    """Return the embeddings of documents; a single text that the model rejects has none.

    If several texts are rejected together, return None. Half of them are read again, and not sent
    from here, because they may have been deleted since they were read.
    """
    if not documents:
        return []
    try:
        vectors = yield Embed([each.text for each in documents])
    except TextRejected:
        return [_rejected(documents[0])] if len(documents) == 1 else None
    return [
        _embedded(collection, document, vector)
        for document, vector in zip(documents, vectors, strict=True)
    ]


def _embedded(
    collection: Collection, document: WaitingDocument, vector: Vector
) -> EmbeddedDocument:
    try:
        embedding = encode_embedding(list(vector), "embedding")
    except InvalidField as error:
        logger.warning("the embedding of a document is not stored: %s", error.detail)
        return _rejected(document)
    if document_embeddings.has_dimensions(collection, embedding):
        return EmbeddedDocument(document.seq, document.revision, embedding)
    if collection.embedded_count:
        # The model has made the right ones before: this answer is wrong, not the document.
        raise EmbeddingFailed(
            f"The embedding model made {len(vector):,} dimensions instead of "
            f"{collection.dimensions:,}."
        )
    logger.warning(
        "the embedding of a document is not stored: the model makes %d dimensions, and its "
        "collection %s has %d",
        len(vector),
        collection.uuid,
        collection.dimensions,
    )
    return _rejected(document)


def _rejected(document: WaitingDocument) -> EmbeddedDocument:
    return EmbeddedDocument(document.seq, document.revision, None)
