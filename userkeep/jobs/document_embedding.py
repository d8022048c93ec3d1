"""Embeddings of documents that the configured model makes."""

import logging
from collections.abc import Sequence

from userkeep.domain.collection import Collection
from userkeep.domain.embedding import Embedder, EmbeddingFailed, TextRejected, Vector
from userkeep.domain.errors import InvalidField, NotFound
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import scoped
from userkeep.domain.vectors.encoding import encode_embedding
from userkeep.jobs.projects import project_scopes
from userkeep.jobs.steps import Embed, Read, Steps, Write
from userkeep.services import document_embeddings
from userkeep.services.document_embeddings import EmbeddedDocument, WaitingDocument

logger = logging.getLogger(__name__)


def embed_documents(rules: Rules, embedder: Embedder) -> Steps[None]:
    """Embed the documents that wait, in all projects, and those of a former model again.

    Raises:
        EmbeddingFailed: the model does not answer. What was embedded before that is stored.
    """
    for scope in (yield from project_scopes(rules)):
        yield from _restart_other_models(scope, embedder)
        waiting = scoped(scope, document_embeddings.waiting_collections, embedder.model)
        for collection in (yield Read(waiting)):
            yield from _embed_collection(scope, collection, embedder)


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


def _embed_collection(scope: Scope, collection: Collection, embedder: Embedder) -> Steps[None]:
    acquire = document_embeddings.acquire
    lease = yield Write(scoped(scope, acquire, collection))
    limit = embedder.batch_size
    while lease is not None:
        read = scoped(scope, document_embeddings.waiting_documents, collection, limit=limit)
        documents = yield Read(read)
        if not documents:
            break
        try:
            embedded = [_rejected(each) for each in documents if not each.may_embed]
            to_embed = [each for each in documents if each.may_embed]
            found = yield from _embed(collection, to_embed)
            limit = len(to_embed) // 2 if found is None else min(limit * 2, embedder.batch_size)
            embedded += found or []
            yield Write(scoped(scope, document_embeddings.write, collection, embedded))
        except NotFound:
            return  # it was deleted
        except EmbeddingFailed:
            yield Write(scoped(scope, document_embeddings.release, collection, lease))
            raise
        lease = yield Write(scoped(scope, acquire, collection, lease))
    if lease is not None:
        yield Write(scoped(scope, document_embeddings.release, collection, lease))


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
    if not document_embeddings.has_dimensions(collection, embedding):
        logger.warning(
            "the embedding of a document is not stored: the model makes %d dimensions, and its "
            "collection %s has %d",
            len(vector),
            collection.uuid,
            collection.dimensions,
        )
        return _rejected(document)
    return EmbeddedDocument(document.seq, document.revision, embedding)


def _rejected(document: WaitingDocument) -> EmbeddedDocument:
    return EmbeddedDocument(document.seq, document.revision, None)
