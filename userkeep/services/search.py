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
"""In characters; enough for a whole message as the query."""

_FIRST_BATCH = 50
_BATCH_GROWTH = 4


class SearchRequest(msgspec.Struct, kw_only=True):
    """What to search for.

    Attributes:
        query: the text; None for the newest messages.
        user_id, session_id: of whose messages; without both, of all of the project.
        roles: only messages of these role types; None for all.
        role_weights: by role type, instead of the default weights.
        created_after_at, created_before_at: exclusive.
        filter: on the metadata of messages.
        limit: the greatest number of hits.
        explain: whether each hit shows what each word contributes.
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
        """The conditions on each message, by their names in the queries."""
        return {
            "roles": None if self.roles is None else encode_json(self.roles).decode(),
            "created_after_at": self.created_after_at,
            "created_before_at": self.created_before_at,
            "filter": self.filter,
        }


class FoundMessage(Message):
    """A message with its session, and the ordinal of the position where it was looked up."""

    session_id: str
    ordinal: int


class WordScore(msgspec.Struct):
    """What a word of the query contributes to a message, and the seq of the message that has it."""

    word: str
    score: float
    seq: int


class Hit(msgspec.Struct):
    """A message that was found.

    Attributes:
        message: the message.
        score: greater is better, among the hits of one search; 0 without a query.
        snippet: the part of the message that shows why it was found.
        words: what the words contribute before the weight, the greatest part first.
        weight: see MessageWeight; None without a query.
    """

    message: FoundMessage
    score: float
    snippet: Snippet
    words: list[WordScore]
    weight: MessageWeight | None


class _Part(msgspec.Struct, frozen=True):
    """The part of the project that is searched: of a user, of a session, or all of it."""

    user_id: str | None = None
    session_id: str | None = None
    search_scope: int | None = None

    @property
    def owner(self) -> dict[str, Any]:
        """The user or the session, by its name in the queries."""
        return {"user_id": self.user_id, "session_id": self.session_id}


class _Candidate(msgspec.Struct):
    """A message with its score, which becomes a hit if it is among the best."""

    score: float
    position: DocPosition
    message: FoundMessage
    weight: MessageWeight

    @property
    def rank(self) -> tuple[float, int, str, int]:
        """A key that sorts the best first; of equal scores the newest."""
        message = self.message
        return -self.score, -message.created_at, message.session_id, -message.seq


def find(tx: Transaction, search: SearchRequest) -> list[Hit]:
    """Return the best hits, best first.

    Raises:
        NotFound: there is no such user or session. Gone: it is being deleted.
        InvalidField: naming the field.
    """
    _check(search)
    part = _part(tx, search)
    if search.query is None:
        return _newest(tx, search, part)
    return _best(tx, search, search.query, part)


def _check(search: SearchRequest) -> None:
    if search.user_id is not None and search.session_id is not None:
        raise InvalidField("Give user_id or session_id, not both.", "user_id", "session_id")
    for field in ("query", "user_id", "session_id"):
        check_characters(getattr(search, field) or "", field)
    if search.query is not None and len(search.query) > MAX_QUERY_LENGTH:
        raise InvalidField(f"query is longer than {MAX_QUERY_LENGTH:,} characters.", "query")


def _part(tx: Transaction, search: SearchRequest) -> _Part:
    if search.user_id is not None:
        user = users.get(tx, search.user_id)
        return _Part(user_id=user.user_id, search_scope=user.number)
    session_id = search.session_id
    if session_id is not None:
        sessions.get(tx, session_id)
        search_scope = tx.fetch_one("search_scope", int, session_id=session_id)
        return _Part(session_id=session_id, search_scope=search_scope)
    return _Part()


def _newest(tx: Transaction, search: SearchRequest, part: _Part) -> list[Hit]:
    analyzer = tx.scope.rules.analyzer
    return [
        Hit(message, 0.0, make_snippet(message.content, frozenset(), analyzer), [], None)
        for message in _newest_messages(tx, search, part)
    ]


def _newest_messages(tx: Transaction, search: SearchRequest, part: _Part) -> list[FoundMessage]:
    values = {"limit": search.limit, **part.owner, **search.conditions}
    if part.user_id is not None:
        return tx.fetch_all("newest_messages_of_user", FoundMessage, **values)
    return tx.fetch_all("newest_messages", FoundMessage, **values)


def _best(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> list[Hit]:
    parsed = _parse(tx, search, query, part)
    stats = tx.fetch_one("corpus_stats", CorpusStats, **part.owner) or CorpusStats(0, 0)
    postings = tx.search_index.postings(parsed.terms, part.search_scope, part.session_id)
    scores = score_postings(postings, len(parsed.terms), stats)
    terms = frozenset(parsed.terms)
    return [
        Hit(
            best.message,
            best.score,
            make_snippet(best.message.content, terms, tx.scope.rules.analyzer),
            _word_scores(scores, best, parsed) if search.explain else [],
            best.weight,
        )
        for best in _best_candidates(tx, search, parsed, scores)
    ]


def _parse(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> ParsedQuery:
    analyzer = tx.scope.rules.analyzer
    terms = analyzer.query_terms(query)
    names = tx.search_index.speaker_names(terms, part.search_scope, part.session_id)
    return ParsedQuery(query, terms, names, search.role_weights, analyzer)


def _best_candidates(
    tx: Transaction, search: SearchRequest, parsed: ParsedQuery, scores: Scores
) -> list[_Candidate]:
    best: list[_Candidate] = []
    for batch in _batches(scores, search.limit):
        best += _candidates(tx, search, parsed, scores, batch)
        best = sorted(best, key=attrgetter("rank"))[: search.limit]
        greatest_left = batch[-1][1] * parsed.max_weight
        if len(best) == search.limit and best[-1].score > greatest_left:
            break
    return best


def _batches(scores: Scores, limit: int) -> Iterator[list[tuple[DocPosition, float]]]:
    """Yield positions with their scores in batches that grow, best first."""
    done, size = 0, max(_FIRST_BATCH, 2 * limit)
    while done < len(scores.totals):
        best = scores.best(size)
        yield best[done:]
        done, size = len(best), size * _BATCH_GROWTH


def _candidates(
    tx: Transaction,
    search: SearchRequest,
    parsed: ParsedQuery,
    scores: Scores,
    batch: Sequence[tuple[DocPosition, float]],
) -> Iterator[_Candidate]:
    """Read the messages at positions, which may have none, and weigh them."""
    positions = encode_json([scores.locate(position) for position, _score in batch]).decode()
    messages = tx.fetch_all("messages_at", FoundMessage, positions=positions, **search.conditions)
    for message in messages:
        position, score = batch[message.ordinal]
        weight = parsed.weigh(message)
        yield _Candidate(score * weight.total, position, message, weight)


def _word_scores(scores: Scores, hit: _Candidate, parsed: ParsedQuery) -> list[WordScore]:
    words = list(parsed.terms.values())
    return [
        WordScore(words[each.term], each.score, hit.message.seq + each.offset)
        for each in scores.explain(hit.position)
    ]
