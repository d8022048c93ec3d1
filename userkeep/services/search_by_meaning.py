"""Rank messages by how near they are to the meaning of a query, together with their words.

`domain.search.meaning` judges the vectors. Here it is decided whether they are compared, with the
embedding of which text, and the vectors of the searched part are read, in batches.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from userkeep.domain.embedding import RecordedModel, Vector
from userkeep.domain.search.meaning import (
    CannotEmbed,
    Degraded,
    PackedVectors,
    Ranked,
    RankedByMeaning,
    SearchMode,
    Shares,
)
from userkeep.domain.search.query import ParsedQuery
from userkeep.domain.search.ranking import DocPosition, Scorer
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.services import embeddings
from userkeep.services.searched_part import SearchedPart

_VECTORS_AT_ONCE = 10_000
"""Of 384 dimensions, 4 MB."""

_NOT_CONFIGURED = Degraded("not_configured", "No embedding model is configured.")
_NOTHING_EMBEDDED = Degraded("nothing_embedded", "No message has an embedding yet.")
_NO_TEXT = Degraded("nothing_to_embed", "The query has no text whose meaning could be compared.")
_DO_NOT_EMBED = Degraded(
    "do_not_embed", "The project, the user or the session is not to be embedded."
)


class QueryMeaning(msgspec.Struct):
    """Whether and how a search compares meaning.

    Attributes:
        mode: what is compared, words or meaning or both; None if no model is configured.
        text, vector, model: what is compared, with the vectors of which model.
        degraded: why it is not compared.
    """

    mode: SearchMode | None = None
    text: str | None = None
    vector: Vector | None = None
    model: RecordedModel | None = None
    degraded: Degraded | None = None


class Ranking(msgspec.Struct):
    """The scored positions.

    Attributes:
        scorer: the scores by words.
        ranked: the positions with the scores that count; the scorer itself if words alone do.
        best_words: the greatest score by words, if meaning counts too.
    """

    scorer: Scorer
    ranked: Ranked
    by_meaning: RankedByMeaning | None = None
    best_words: float = 1.0

    def shares(self, position: DocPosition) -> Shares | None:
        """Return what words and meaning contribute to a score; None if words alone do."""
        return None if self.by_meaning is None else self.by_meaning.shares(position)


class _SessionSize(NamedTuple):
    session_id: str
    message_count: int
    last_seq: int


def embed_query(
    tx: Transaction, parsed: ParsedQuery, part: SearchedPart, wanted: SearchMode
) -> QueryMeaning:
    """Return what is compared of the meaning: the embedding of the query, if there is one.

    Args:
        wanted: what the request wants to be compared.
    """
    meaning = tx.scope.rules.meaning
    if wanted == "words":
        return QueryMeaning(None if meaning is None else "words")
    is_required = wanted == "meaning"
    if meaning is None:
        return QueryMeaning(degraded=_NOT_CONFIGURED) if is_required else QueryMeaning()
    text, model = parsed.text_to_embed, embeddings.searched_model(tx)
    if not text:
        return QueryMeaning("words", degraded=_NO_TEXT if is_required else None)
    if not embeddings.may_embed_query(tx, part.user_id, part.session_id):
        return QueryMeaning("words", degraded=_DO_NOT_EMBED)
    if model is None:
        return QueryMeaning("words", degraded=_NOTHING_EMBEDDED if is_required else None)
    try:
        vector = meaning.query_vector(tx, tx.scope.project_id, text, model)
    except CannotEmbed as error:
        return QueryMeaning("words", degraded=error.degraded)
    return QueryMeaning(wanted, text, vector, model)


def rank(
    tx: Transaction,
    parsed: ParsedQuery,
    part: SearchedPart,
    scorer: Scorer,
    query: QueryMeaning,
    *,
    keeps_neighbours: bool,
) -> Ranking:
    """Rank what words have found, by words and meaning if there is an embedding.

    Args:
        scorer: the scores by words.
        query: from `embed_query`.
        keeps_neighbours: whether messages near those that are meant are ranked too.
    """
    meaning = tx.scope.rules.meaning
    if meaning is None or query.vector is None or query.model is None:
        return Ranking(scorer, scorer)
    of_meaning = meaning.scorer(query.vector)
    for parts in _vector_parts(tx, part):
        tx.check_deadline()
        packed = _packed_vectors(tx, part, query.model, parts)
        starts = [scorer.start(parts[ordinal][0]) for ordinal, _vectors in packed]
        of_meaning.add(starts, [vectors for _ordinal, vectors in packed])
    found = dict(scorer.items())
    allowed = scorer.with_required
    if allowed is None and parsed.words.required:
        allowed = found.keys()  # what has the phrase has its words
    words = {} if query.mode == "meaning" else found
    ranked = of_meaning.with_words(
        words, allowed=allowed, excluded=scorer.excluded, keeps_neighbours=keeps_neighbours
    )
    return Ranking(scorer, ranked, ranked, max(words.values(), default=1.0))


def _vector_parts(tx: Transaction, part: SearchedPart) -> Iterator[list[tuple[str, int]]]:
    """Yield what is read at once of the vectors that are searched: sessions and their first `seq`.

    One that has many messages is read in parts.
    """
    parts: list[tuple[str, int]] = []
    count = 0
    for session in tx.fetch_all("sessions_with_vectors", _SessionSize, **part.owner):
        for first in range(1, session.last_seq + 1, _VECTORS_AT_ONCE):
            parts.append((session.session_id, first))
            count += min(session.message_count, _VECTORS_AT_ONCE)
            if count >= _VECTORS_AT_ONCE:
                yield parts
                parts, count = [], 0
    if parts:
        yield parts


def _packed_vectors(
    tx: Transaction, part: SearchedPart, model: RecordedModel, parts: Sequence[tuple[str, int]]
) -> list[tuple[int, PackedVectors]]:
    """Return the vectors of parts of sessions, each with the ordinal of its part."""
    found = tx.fetch_all(
        "packed_vectors",
        _packed_part,
        positions=encode_json(parts).decode(),
        seqs=_VECTORS_AT_ONCE,
        session_id=part.session_id,
        model_id=model.model_id,
    )
    return [(ordinal, vectors) for ordinal, vectors in found if vectors]


def _packed_part(ordinal: int, vectors: PackedVectors | None) -> tuple[int, PackedVectors | None]:
    return ordinal, vectors
