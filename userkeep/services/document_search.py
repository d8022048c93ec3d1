"""Search the documents of a collection: the nearest to an embedding, or by conditions alone.

Candidates for the nearest are found by rounded vectors, or by the engine's index of a collection.
These few are then compared by their embeddings.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from userkeep.domain.collection import Collection
from userkeep.domain.document import Document
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import Node
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_PAGE_BYTES
from userkeep.domain.vectors.encoding import check_dimensions
from userkeep.domain.vectors.index import LEAST_INDEXED
from userkeep.domain.vectors.ranking import PackedVectors
from userkeep.services import collections, document_queries, documents

DEFAULT_SEARCH_LIMIT = 20

_BYTES_AT_ONCE = 2 << 20
"""Of vectors: as many as PostgreSQL sorts in memory, so that it writes no file."""

_ROW_BYTES = 100
"""What PostgreSQL adds to a vector for that, or more."""

_CANDIDATES = 4
_FEWEST_CANDIDATES = 100
"""The nearest are looked for among so many times more, by rounded vectors, and then compared."""

_MMR_CANDIDATES = 2
_FEWEST_MMR_CANDIDATES = 10


class DocumentSearch(msgspec.Struct, kw_only=True):
    """What to search for: a text, an embedding, or neither: by conditions alone, the newest first.

    Attributes:
        text: the query, which the model of the collection embeds.
        embedding: the query, as float32.
        limit: how many documents.
        user_id: whose documents; None: all that the scope sees.
        filter: on metadata.
        min_cosine: the least cosine of the angle with the query.
        relevance: None: the nearest documents. From 0 to 1: by maximal marginal relevance, where 0
            selects the most different ones.
        is_exact: whether all embeddings are compared, also where there is an index of them.
    """

    text: str | None = None
    embedding: bytes | None = None
    limit: int = DEFAULT_SEARCH_LIMIT
    user_id: str | None = None
    filter: Node | None = None
    min_cosine: float | None = None
    relevance: float | None = None
    is_exact: bool = False


class DocumentHit(NamedTuple):
    """A document that a search found.

    Attributes:
        cosine: of the angle with the query, from -1 to 1; None without a query.
    """

    document: Document
    cosine: float | None


class FoundDocuments(NamedTuple):
    """What a search found.

    Attributes:
        candidate_count: how many documents were compared exactly, before a selection by maximal
            marginal relevance; otherwise, how many were found.
        query: the embedding that was searched for.
    """

    hits: list[DocumentHit]
    candidate_count: int
    query: bytes | None = None


class _Scored(NamedTuple):
    seq: int
    cosine: float
    embedding: bytes


class _Embedding(NamedTuple):
    seq: int
    embedding: bytes


def find(tx: Transaction, name: str, search: DocumentSearch) -> FoundDocuments:
    """Search a collection: by an embedding, the nearest documents first, or by conditions alone.

    All embeddings that match the conditions are compared, unless there are none and the engine has
    an index of the collection. This can take long, so it is a read that runs in a thread.

    Raises:
        NotFound: there is no such collection. InvalidField: the embedding has another length, or
            the text cannot be embedded. Unavailable: the model does not answer in time.
    """
    collection = collections.get(tx, name)
    query = search.embedding
    if search.text is not None:
        query = document_queries.embed_query(tx, collection, search.text, search.user_id)
    if query is None:
        rows = _newest(tx, collection, search)
        return FoundDocuments([DocumentHit(each, None) for each in rows], len(rows))
    check_dimensions(query, collection.dimensions, "embedding")
    scored = _nearest(tx, collection, search, query)
    if search.relevance is None:
        hits = _hits(tx, collection, scored[: search.limit])
        return FoundDocuments(hits, len(hits), query)
    wanted = max(_FEWEST_MMR_CANDIDATES, _MMR_CANDIDATES * search.limit)
    candidates = scored[:wanted]
    chosen = tx.scope.rules.vector_math().select_diverse(
        [each.cosine for each in candidates],
        [each.embedding for each in candidates],
        search.limit,
        search.relevance,
    )
    hits = _hits(tx, collection, [candidates[at] for at in chosen])
    return FoundDocuments(hits, len(candidates), query)


def _newest(tx: Transaction, collection: Collection, search: DocumentSearch) -> list[Document]:
    rows = tx.fetch_page(
        "list_documents",
        Document,
        collection=collection.number,
        user_id=search.user_id,
        filter=search.filter,
        embedding=True,
        **documents.visible(tx),
        descending=True,
        limit=search.limit,
    )
    return rows.items


def _nearest(
    tx: Transaction, collection: Collection, search: DocumentSearch, query: bytes
) -> list[_Scored]:
    """Return the nearest documents, the nearest first: more than the limit, if there are more.

    Those that are near by their rounded vectors are compared again by their embeddings.
    """
    wanted = max(_FEWEST_CANDIDATES, _CANDIDATES * search.limit)
    conditions = _conditions(tx, search)
    seqs = None
    if not (conditions or search.is_exact) and collection.embedded_count >= LEAST_INDEXED:
        seqs = tx.vector_index.nearest(collection.number, query, wanted)
    if seqs is None:
        nearest = tx.scope.rules.vector_math().nearest(query, wanted)
        for packed in _scan(tx, collection, conditions):
            nearest.add(packed)
            tx.check_deadline()
        seqs = nearest.seqs()
    return _compare(tx, collection, search, query, seqs)


def _compare(
    tx: Transaction,
    collection: Collection,
    search: DocumentSearch,
    query: bytes,
    seqs: Sequence[int],
) -> list[_Scored]:
    numbers = encode_json(seqs).decode()
    found = tx.fetch_all(
        "embeddings_of_documents", _Embedding, collection=collection.number, numbers=numbers
    )
    math = tx.scope.rules.vector_math()
    cosines = math.cosines(query, [each.embedding for each in found])
    scored = [
        _Scored(each.seq, cosine, each.embedding)
        for each, cosine in zip(found, cosines, strict=True)
    ]
    if search.min_cosine is not None:
        scored = [each for each in scored if each.cosine >= search.min_cosine]
    scored.sort(key=lambda each: (-each.cosine, each.seq))
    return scored


def _conditions(tx: Transaction, search: DocumentSearch) -> dict[str, Any]:
    """Return the conditions on documents; nothing, if all of the collection match."""
    conditions: dict[str, Any] = {"user_id": search.user_id, "filter": search.filter}
    conditions |= documents.visible(tx)
    is_of_user = tx.scope.user_id is not None  # a condition that each query has by itself
    return conditions if is_of_user or any(conditions.values()) else {}


def _scan(
    tx: Transaction, collection: Collection, conditions: dict[str, Any]
) -> Iterator[PackedVectors]:
    """Yield the vectors of the documents that match, in batches."""
    limit = max(1, _BYTES_AT_ONCE // (collection.dimensions + _ROW_BYTES))
    # The vectors alone say nothing about their documents.
    if not conditions:
        yield from _scan_all(tx, collection, limit)
        return
    # First which match: PostgreSQL would read the documents again for each batch of vectors.
    seqs = _seqs_of_matching(tx, collection, conditions)
    for first in range(0, len(seqs), limit):
        some = seqs[first : first + limit]
        numbers = encode_json(some).decode()
        yield from _scan_after(tx, collection, some[0] - 1, len(some), numbers)


def _scan_all(tx: Transaction, collection: Collection, limit: int) -> Iterator[PackedVectors]:
    after, count = 0, limit
    while count == limit:
        found = _scan_after(tx, collection, after, limit)
        yield from found
        count = sum(each.vector_count for each in found)
        after = max((each.last_seq for each in found), default=after)


def _scan_after(
    tx: Transaction, collection: Collection, after: int, limit: int, numbers: str | None = None
) -> list[PackedVectors]:
    found = tx.fetch_all(
        "scan_vectors",
        PackedVectors,
        collection=collection.number,
        after=after,
        limit=limit,
        numbers=numbers,
    )
    return [each for each in found if each.vector_count]


def _seqs_of_matching(
    tx: Transaction, collection: Collection, conditions: dict[str, Any]
) -> list[int]:
    """Return the documents that match, in their order."""
    found = tx.fetch_all(
        "seqs_of_matching_documents", _numbers, collection=collection.number, **conditions
    )
    return sorted(found[0])


def _numbers(joined: str | None) -> list[int]:
    return [int(each) for each in joined.split(",")] if joined else []


def _hits(tx: Transaction, collection: Collection, scored: Sequence[_Scored]) -> list[DocumentHit]:
    """Return the documents, in this order, as many as fit into a page."""
    position = {each.seq: at for at, each in enumerate(scored)}
    rows = tx.fetch_all(
        "documents_among",
        Document,
        collection=collection.number,
        numbers=encode_json(list(position)).decode(),
    )
    rows.sort(key=lambda row: position[row.seq])
    hits, size_bytes = [], 0
    for row in rows:
        best = scored[position[row.seq]]
        row.embedding = best.embedding
        hits.append(DocumentHit(row, best.cosine))
        size_bytes += row.size_bytes
        if size_bytes > MAX_PAGE_BYTES:
            break
    return hits
