"""Find the messages that a query means, best first; without words, the newest.

The index knows which messages have which words; `domain.search.ranking` decides which of them are
meant. Speaker and date change the weight of a whole message. They are only read for messages that
could still get among the first with them: in batches, best first, until no other message can
overtake the last one of the result.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.message import Message
from userkeep.domain.search.query import MessageWeight, ParsedQuery
from userkeep.domain.search.ranking import CorpusStats, DocPosition, Scores, score_postings
from userkeep.domain.search.snippets import Snippet, make_snippet
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import Node
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.text import check_characters
from userkeep.domain.values.times import Instant
from userkeep.services import sessions, users

MAX_QUERY_LENGTH = 10_000
"""Characters: more than anybody types, and room for a message as the question."""

_FIRST_BATCH = 50
_BATCHES_GROW = 4


class Asked(msgspec.Struct, kw_only=True):
    """What is searched for.

    Attributes:
        query: the words; None for the newest messages.
        user_id, session_id: where: with neither, in the whole project.
        roles: only what these role types said; None for all.
        role_weights: by role type, in place of those that ranking has.
        created_after_at, created_before_at: exclusive.
        filter: what their metadata must be.
        limit: how many hits at most.
        explain: whether each hit says what its words give it.
    """

    query: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    roles: Sequence[str] | None = None
    role_weights: Mapping[str, float] = {}
    created_after_at: Instant | None = None
    created_before_at: Instant | None = None
    filter: Node | None = None
    limit: int = 10
    explain: bool = False

    @property
    def conditions(self) -> dict[str, Any]:
        """What a message must be to be shown at all, by the names in the queries."""
        return {
            "roles": None if self.roles is None else encode_json(self.roles).decode(),
            "created_after_at": self.created_after_at,
            "created_before_at": self.created_before_at,
            "filter": self.filter,
        }


class Found(Message):
    """A message, the session it is in, and the ordinal of the place where it was looked for."""

    session_id: str
    ordinal: int


class WordPart(msgspec.Struct):
    """What a word of the query gives a message: as it was written, how much, and from which seq."""

    word: str
    score: float
    seq: int


class Hit(msgspec.Struct):
    """A message that was found.

    Attributes:
        message: what was found.
        score: greater is better, among the hits of one search; 0 where there was no query.
        snippet: why it was found, for people.
        words: how the score came about, the greatest part first; times the weight.
        weight: see MessageWeight; None where there was no query.
    """

    message: Found
    score: float
    snippet: Snippet
    words: list[WordPart]
    weight: MessageWeight | None


class _Part(msgspec.Struct, frozen=True):
    """The part of the project that is searched: by the names in the queries, and in the index."""

    of: dict[str, Any]
    search_scope: int | None

    @property
    def index_part(self) -> tuple[int | None, str | None]:
        """The search scope and the session that the index is asked for."""
        return self.search_scope, self.of.get("session_id")


class _Ranked(msgspec.Struct):
    """A message on its way to be a hit."""

    score: float
    place: DocPosition
    message: Found
    weight: MessageWeight

    @property
    def order(self) -> tuple[float, int, str, int]:
        """Best first; of equals the newest."""
        found = self.message
        return -self.score, -found.created_at, found.session_id, -found.seq


def find(tx: Transaction, asked: Asked) -> list[Hit]:
    """The messages that are meant, best first.

    Raises:
        NotFound: there is no such user or session. Gone: they are being deleted.
        InvalidField: naming the field.
    """
    _check(asked)
    part = _part(tx, asked)
    if asked.query is None:
        return _newest(tx, asked, part)
    return _best(tx, asked, asked.query, part)


def _check(asked: Asked) -> None:
    if asked.user_id is not None and asked.session_id is not None:
        raise InvalidField("Give user_id or session_id, not both.", "user_id", "session_id")
    for field in ("query", "user_id", "session_id"):
        check_characters(getattr(asked, field) or "", field)
    if asked.query is not None and len(asked.query) > MAX_QUERY_LENGTH:
        raise InvalidField(f"query is longer than {MAX_QUERY_LENGTH:,} characters.", "query")


def _part(tx: Transaction, asked: Asked) -> _Part:
    if asked.user_id is not None:
        user = users.get(tx, asked.user_id)
        return _Part({"user_id": user.user_id}, user.number)
    if asked.session_id is not None:
        sessions.get(tx, asked.session_id)
        of_session = {"session_id": asked.session_id}
        return _Part(of_session, tx.fetch_one("search_scope", int, **of_session))
    return _Part({}, None)


def _newest(tx: Transaction, asked: Asked, part: _Part) -> list[Hit]:
    rows = _newest_rows(tx, asked, part)
    return [
        Hit(row, 0.0, make_snippet(row.content, frozenset(), tx.scope.rules.analyzer), [], None)
        for row in rows
    ]


def _newest_rows(tx: Transaction, asked: Asked, part: _Part) -> list[Found]:
    values = {"limit": asked.limit, **part.of, **asked.conditions}
    if "user_id" in part.of:
        return tx.fetch_all("newest_messages_of_user", Found, **values)
    return tx.fetch_all("newest_messages", Found, **values)


def _best(tx: Transaction, asked: Asked, query: str, part: _Part) -> list[Hit]:
    question = _question(tx, asked, query, part)
    stats = tx.fetch_one("corpus_stats", CorpusStats, **part.of) or CorpusStats(0, 0)
    postings = tx.search_index.postings(question.terms, *part.index_part)
    scores = score_postings(postings, len(question.terms), stats)
    wanted = frozenset(question.terms)
    written = list(question.terms.values())
    return [
        Hit(
            ranked.message,
            ranked.score,
            make_snippet(ranked.message.content, wanted, tx.scope.rules.analyzer),
            _parts(scores, ranked, written) if asked.explain else [],
            ranked.weight,
        )
        for ranked in _ranked(tx, asked, question, scores)
    ]


def _question(tx: Transaction, asked: Asked, query: str, part: _Part) -> ParsedQuery:
    words = tx.scope.rules.analyzer
    in_query = words.query_terms(query)
    names = tx.search_index.speaker_names(in_query, *part.index_part)
    return ParsedQuery(query, in_query, names, asked.role_weights, words)


def _ranked(tx: Transaction, asked: Asked, question: ParsedQuery, scores: Scores) -> list[_Ranked]:
    best: list[_Ranked] = []
    for batch in _batches(scores, asked.limit):
        best += _weighed(tx, asked, question, scores, batch)
        best = sorted(best, key=attrgetter("order"))[: asked.limit]
        possible = batch[-1][1] * question.max_weight
        if len(best) == asked.limit and best[-1].score > possible:
            break
    return best


def _batches(scores: Scores, limit: int) -> Iterator[list[tuple[DocPosition, float]]]:
    """DocPositions with their scores, best first."""
    known, size = 0, max(_FIRST_BATCH, 2 * limit)
    while known < len(scores.totals):
        best = scores.best(size)
        yield best[known:]
        known, size = len(best), size * _BATCHES_GROW


def _weighed(
    tx: Transaction,
    asked: Asked,
    question: ParsedQuery,
    scores: Scores,
    batch: Sequence[tuple[DocPosition, float]],
) -> Iterator[_Ranked]:
    places = encode_json([scores.locate(place) for place, _score in batch]).decode()
    rows = tx.fetch_all("found_messages", Found, places=places, **asked.conditions)
    for row in rows:
        place, score = batch[row.ordinal]
        weight = question.weigh(row)
        yield _Ranked(score * weight.total, place, row, weight)


def _parts(scores: Scores, ranked: _Ranked, written: Sequence[str]) -> list[WordPart]:
    return [
        WordPart(written[each.term], each.score, ranked.message.seq + each.offset)
        for each in scores.explain(ranked.place)
    ]
