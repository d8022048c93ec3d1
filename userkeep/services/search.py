"""Find the messages that a query means, best first; without words, the newest.

The index knows which messages have which words; `domain.search.ranking` decides which of them are
meant. Speaker and date change the weight of a whole message. They are only read for messages that
could still get among the first with them: in batches, best first, until no other message can
overtake the last one of the result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.message import Message
from userkeep.domain.search.query import MessageWeight, ParsedQuery
from userkeep.domain.search.ranking import CorpusStats, DocPosition, Posting, Scorer
from userkeep.domain.search.snippets import Snippet, make_snippet
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import Node
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_PAGE_BYTES
from userkeep.domain.values.text import check_characters
from userkeep.domain.values.times import Instant
from userkeep.services import sessions, users

MAX_QUERY_LENGTH = 10_000
"""In characters; enough for a whole message as the query."""

_FIRST_BATCH = 50
_MESSAGES_AT_ONCE = 25
_BATCH_GROWTH = 4
_LARGEST_BATCH = 10_000

_POSTINGS_AT_ONCE = 300_000
"""How many postings are in memory at a time, 200 bytes each, and so how many one word may have."""

_MAX_POSITIONS = 1_000_000
"""How many messages a search may score, with their neighbours; 130 bytes each."""


class SearchRequest(msgspec.Struct, kw_only=True):
    """What to search for.

    Attributes:
        query: the text; None for the newest messages.
        user_id, session_id: of whose messages; without both, of all of the project.
        roles: only messages of these roles; None for all.
        role_weights: by role, instead of the default weights.
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
    """A message with its session, and its ordinal among the hits that are read together."""

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


class _Weighed(msgspec.Struct):
    """What the weight of a message depends on; `ordinal` is its place in the batch."""

    ordinal: int
    name: str
    role: str
    created_at: Instant


class _Candidate(msgspec.Struct):
    """A message with its score, which becomes a hit if it is among the best."""

    score: float
    position: DocPosition
    session_id: str
    seq: int
    created_at: Instant
    weight: MessageWeight

    @property
    def rank(self) -> tuple[float, int, str, int]:
        """A key that sorts the best first; of equal scores the newest."""
        return -self.score, -self.created_at, self.session_id, -self.seq


def find(tx: Transaction, search: SearchRequest) -> list[Hit]:
    """Return the best hits, best first.

    Raises:
        NotFound: there is no such user or session. Gone: it is being deleted.
        InvalidField: naming the field; also where the query has too many matches to rank.
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
    newest = _messages(tx, _newest_positions(tx, search, part))
    return [
        Hit(message, 0.0, make_snippet(message.content, frozenset(), analyzer), [], None)
        for message in newest
    ]


def _newest_positions(tx: Transaction, search: SearchRequest, part: _Part) -> list[tuple[str, int]]:
    values = {"limit": search.limit, **part.owner, **search.conditions}
    if part.user_id is not None:
        return tx.fetch_all("newest_messages_of_user", _position, **values)
    return tx.fetch_all("newest_messages", _position, **values)


def _position(session_id: str, seq: int) -> tuple[str, int]:
    return session_id, seq


def _messages(tx: Transaction, positions: Sequence[tuple[str, int]]) -> list[FoundMessage]:
    """Return the messages at positions, in their order: all, or the first ones that fit in a page.

    The positions were found in this transaction, so the messages are still there. They are read a
    few at a time, because a database may send all that it is asked for.
    """
    found: list[FoundMessage] = []
    size_bytes = 0
    for first in range(0, len(positions), _MESSAGES_AT_ONCE):
        some = encode_json(positions[first : first + _MESSAGES_AT_ONCE]).decode()
        page = tx.fetch_page("hits_at", FoundMessage, positions=some)
        for each in page.items:
            if size_bytes > MAX_PAGE_BYTES:
                return found
            found.append(each)
            size_bytes += each.size_bytes
        if page.has_more:
            break
    return found


def _best(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> list[Hit]:
    parsed = _parse(tx, search, query, part)
    scorer = Scorer(tx.fetch_one("corpus_stats", CorpusStats, **part.owner) or CorpusStats(0, 0))
    for _term, postings in _postings(tx, parsed, part):
        scorer.add(postings)
        _check_positions(scorer, part)
    best = _best_candidates(tx, search, parsed, scorer)
    found = _messages(tx, [(each.session_id, each.seq) for each in best])
    del best[len(found) :]
    words = _word_scores(tx, parsed, part, scorer, best) if search.explain else {}
    return list(_hits(tx, parsed, zip(best, found, strict=True), words))


def _hits(
    tx: Transaction,
    parsed: ParsedQuery,
    found: Iterable[tuple[_Candidate, FoundMessage]],
    words: Mapping[DocPosition, list[WordScore]],
) -> Iterator[Hit]:
    terms, analyzer = frozenset(parsed.terms), tx.scope.rules.analyzer
    for each, message in found:
        tx.check_deadline()
        snippet = make_snippet(message.content, terms, analyzer)
        yield Hit(message, each.score, snippet, words.get(each.position, []), each.weight)


def _parse(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> ParsedQuery:
    analyzer = tx.scope.rules.analyzer
    terms = analyzer.query_terms(query)
    names = tx.search_index.speaker_names(terms, part.search_scope, part.session_id)
    return ParsedQuery(query, terms, names, search.role_weights, analyzer)


def _postings(
    tx: Transaction, parsed: ParsedQuery, part: _Part
) -> Iterator[tuple[int, Iterator[Posting]]]:
    """Yield the postings of each term, by its ordinal, in order.

    The terms are read together, and in halves where they have too many postings for that.

    Raises:
        InvalidField: the terms have more postings than a search may rank.
    """
    terms = list(parsed.terms)
    at_once = min(_POSTINGS_AT_ONCE, tx.scope.rules.search_match_limit)
    to_read = [range(len(terms))]
    while to_read:
        ordinals = to_read.pop()
        wanted = terms[ordinals.start : ordinals.stop]
        found = tx.search_index.postings(
            wanted, part.search_scope, part.session_id, limit=at_once + 1
        )
        if len(found) <= at_once:
            yield from _by_term(tx, found, ordinals.start)
            continue
        # An error keeps what its frames refer to, for as long as it is somewhere itself.
        del found
        if len(wanted) == 1:
            raise _too_many(part, "A word of the query is in", f"{at_once:,} messages")
        if len(wanted) == len(terms):
            _check_matches(tx, terms, part)
        middle = ordinals.start + len(wanted) // 2
        to_read += [range(middle, ordinals.stop), range(ordinals.start, middle)]


def _by_term(
    tx: Transaction, found: list[Posting], first: int
) -> Iterator[tuple[int, Iterator[Posting]]]:
    found.sort(key=itemgetter(0))
    for term, postings in groupby(found, key=itemgetter(0)):
        yield first + term, postings
        tx.check_deadline()


def _check_matches(tx: Transaction, terms: Sequence[str], part: _Part) -> None:
    limit = tx.scope.rules.search_match_limit
    count = tx.search_index.count_postings(
        terms, part.search_scope, part.session_id, limit=limit + 1
    )
    if count > limit:
        raise _too_many(part, "The words of the query have together", f"{limit:,} matches")


def _check_positions(scorer: Scorer, part: _Part) -> None:
    if len(scorer) > _MAX_POSITIONS:
        of = "The words of the query are in or near"
        raise _too_many(part, of, f"{_MAX_POSITIONS:,} messages")


def _too_many(part: _Part, of: str, what: str) -> InvalidField:
    advice = "Use fewer or rarer words."
    if part.session_id is None:
        narrower = "a session" if part.user_id is not None else "a user or a session"
        advice = f"Use fewer or rarer words, or search in {narrower}."
    return InvalidField(f"query: {of} more than {what}. {advice}", "query")


def _best_candidates(
    tx: Transaction, search: SearchRequest, parsed: ParsedQuery, scorer: Scorer
) -> list[_Candidate]:
    best: list[_Candidate] = []
    for batch in _batches(scorer, search.limit):
        tx.check_deadline()
        best += _candidates(tx, search, parsed, scorer, batch)
        best = sorted(best, key=attrgetter("rank"))[: search.limit]
        greatest_left = batch[-1][1] * parsed.max_weight
        if len(best) == search.limit and best[-1].score > greatest_left:
            break
    return best


def _batches(scorer: Scorer, limit: int) -> Iterator[list[tuple[DocPosition, float]]]:
    """Yield positions with their scores in batches that grow, best first."""
    size = max(_FIRST_BATCH, 2 * limit)
    first = scorer.best(size)
    if not first:
        return
    yield first
    if len(scorer) <= size:
        return
    ranked = islice(scorer.ranked(), size, None)
    while batch := list(islice(ranked, size := min(size * _BATCH_GROWTH, _LARGEST_BATCH))):
        yield batch


def _candidates(
    tx: Transaction,
    search: SearchRequest,
    parsed: ParsedQuery,
    scorer: Scorer,
    batch: Sequence[tuple[DocPosition, float]],
) -> Iterator[_Candidate]:
    """Weigh the messages at positions, which may have none."""
    places = [scorer.locate(position) for position, _score in batch]
    positions = encode_json(places).decode()
    for each in tx.fetch_all("messages_at", _Weighed, positions=positions, **search.conditions):
        position, score = batch[each.ordinal]
        weight = parsed.weigh(each)
        total = score * weight.total
        yield _Candidate(total, position, *places[each.ordinal], each.created_at, weight)


def _word_scores(
    tx: Transaction,
    parsed: ParsedQuery,
    part: _Part,
    scorer: Scorer,
    hits: Sequence[_Candidate],
) -> dict[DocPosition, list[WordScore]]:
    """Return what each word contributes to each hit, the greatest part first."""
    words = list(parsed.terms.values())
    seqs = {each.position: each.seq for each in hits}
    scores: dict[DocPosition, list[WordScore]] = {position: [] for position in seqs}
    for term, postings in _postings(tx, parsed, part):
        for position, score, offset in scorer.explain(postings, seqs):
            scores[position].append(WordScore(words[term], score, seqs[position] + offset))
    for of_hit in scores.values():
        of_hit.sort(key=lambda each: -each.score)
    return scores
