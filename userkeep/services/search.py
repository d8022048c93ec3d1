"""Find the messages that a query means, best first; without a query, the newest.

Messages are scored by the words of the query (`search_by_words`) and, where they have embeddings,
ranked by its meaning too (`search_by_meaning`). The best of them are selected by their weights
(`search_candidates`), and become hits here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.message import Message
from userkeep.domain.search.analyzer import indexed_part
from userkeep.domain.search.meaning import Degraded, SearchMode, Shares
from userkeep.domain.search.query import MessageWeight, ParsedQuery, QueryWords
from userkeep.domain.search.ranking import DocPosition
from userkeep.domain.search.snippets import Snippet, make_snippet
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.filters import Node
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_LIMIT, MAX_PAGE_BYTES
from userkeep.domain.values.text import check_characters
from userkeep.domain.values.times import Instant
from userkeep.services import search_by_meaning, search_by_words, search_candidates, searched_part
from userkeep.services.search_by_meaning import QueryMeaning, Ranking
from userkeep.services.search_by_words import Syntax, WordScore
from userkeep.services.search_candidates import Candidate
from userkeep.services.searched_part import SearchedPart

MAX_QUERY_LENGTH = 10_000
"""In characters; enough for a whole message as the query."""

MAX_HITS = MAX_LIMIT
"""How many hits a search ranks at most: those that it returns, and those before them."""

_MESSAGES_AT_ONCE = 25


class SearchRequest(msgspec.Struct, kw_only=True):
    """What to search for.

    Attributes:
        query: the text; None for the newest messages.
        syntax: whether the query is plain text, or has operators; see `domain.search.web_syntax`.
        mode: whether words are compared, meaning, or both where there are embeddings.
        user_id, session_id: of whose messages; without both, of all of the project. With both, the
            session must be this user's.
        roles: only messages of these roles; None for all.
        role_weights: by role, instead of the default weights.
        created_after_at, created_before_at: exclusive.
        filter: on the metadata of messages.
        limit: the greatest number of hits.
        offset: how many of the first hits are left out.
        min_score: the lowest score of a hit.
        context: whether messages near a match are hits too, without any of the words.
        explain: whether each hit shows what each word contributes.
        with_session: whether each hit has its session.
    """

    query: str | None = None
    syntax: Syntax = "plain"
    mode: SearchMode = "auto"
    user_id: str | None = None
    session_id: str | None = None
    roles: Sequence[str] | None = None
    role_weights: Mapping[str, float] = {}
    created_after_at: Instant | None = None
    created_before_at: Instant | None = None
    filter: Node | None = None
    limit: int = 10
    offset: int = 0
    min_score: float = 0.0
    context: bool = True
    explain: bool = False
    with_session: bool = False

    @property
    def count(self) -> int:
        """How many hits there may be with those that are left out."""
        return self.offset + self.limit

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


class HitSession(msgspec.Struct):
    """The session of a hit."""

    session_id: str
    title: str | None
    user_id: str | None


class Hit(msgspec.Struct):
    """A message that was found.

    Attributes:
        message: the message.
        score: greater is better, among the hits of one search; 0 without a query.
        snippet: the part of the message that shows why it was found.
        words: what the words contribute before the weight, the greatest part first.
        weight: see MessageWeight; None without a query.
        session: None unless it was requested.
        shares: what words and meaning contribute before the weight; None if words alone do.
    """

    message: FoundMessage
    score: float
    snippet: Snippet
    words: list[WordScore]
    weight: MessageWeight | None
    session: HitSession | None = None
    shares: Shares | None = None


class Found(msgspec.Struct):
    """What a search has found.

    Attributes:
        hits: best first.
        mode: what was compared; None if that was not to be decided: no model is configured, or
            there is no query.
        embedded_text: the part of the query whose embedding was compared; None if none was.
        degraded: why words alone were compared, if that is not what was meant.
    """

    hits: list[Hit]
    mode: SearchMode | None = None
    embedded_text: str | None = None
    degraded: Degraded | None = None


def find(tx: Transaction, search: SearchRequest) -> Found:
    """Return the best hits, best first.

    Where a query needs an embedding, the operation is run again once there is one.

    Raises:
        NotFound: there is no such user or session. Gone: it is being deleted.
        InvalidField: naming the field; also where the query has too many matches to rank.
    """
    _check(search)
    part = searched_part.get(tx, search.user_id, search.session_id)
    if search.query is None:
        found = Found(_newest(tx, search, part))
    else:
        found = _best(tx, search, search.query, part)
    if search.with_session and found.hits:
        _add_sessions(tx, search, found.hits)
    return found


def _check(search: SearchRequest) -> None:
    if search.count > MAX_HITS:
        raise InvalidField(
            f"offset and limit are together {search.count:,}; at most {MAX_HITS:,} are allowed. Use"
            " a filter, or created_before, to find what is further down.",
            "offset",
            "limit",
        )
    for field in ("query", "user_id", "session_id"):
        check_characters(getattr(search, field) or "", field)
    if search.query is not None and len(search.query) > MAX_QUERY_LENGTH:
        raise InvalidField(f"query is longer than {MAX_QUERY_LENGTH:,} characters.", "query")


def _newest(tx: Transaction, search: SearchRequest, part: SearchedPart) -> list[Hit]:
    analyzer = tx.scope.rules.analyzer
    if search.min_score > 0:
        return []
    newest = _messages(tx, search, _newest_positions(tx, search, part)[search.offset :])
    return [
        Hit(message, 0.0, make_snippet(message.content, frozenset(), analyzer), [], None)
        for message in newest
    ]


def _newest_positions(
    tx: Transaction, search: SearchRequest, part: SearchedPart
) -> list[tuple[str, int]]:
    values = {"limit": search.count, **part.owner, **search.conditions}
    if part.user_id is not None:
        return tx.fetch_all("newest_messages_of_user", _position, **values)
    return tx.fetch_all("newest_messages", _position, **values)


def _position(session_id: str, seq: int) -> tuple[str, int]:
    return session_id, seq


def _messages(
    tx: Transaction, search: SearchRequest, positions: Sequence[tuple[str, int]]
) -> list[FoundMessage]:
    """Return the messages at positions, in their order: all, or the first ones that fit in a page.

    The positions were found in this transaction, so the messages are still there. They are read a
    few at a time, because a database may send all that it is asked for.
    """
    found: list[FoundMessage] = []
    size_bytes = 0
    for first in range(0, len(positions), _MESSAGES_AT_ONCE):
        some = encode_json(positions[first : first + _MESSAGES_AT_ONCE]).decode()
        page = tx.fetch_page("hits_at", FoundMessage, positions=some, session_id=search.session_id)
        for each in page.items:
            if size_bytes > MAX_PAGE_BYTES:
                return found
            found.append(each)
            size_bytes += each.size_bytes
        if page.has_more:
            break
    return found


def _best(tx: Transaction, search: SearchRequest, query: str, part: SearchedPart) -> Found:
    parsed = search_by_words.parse(tx, query, search.syntax, part, search.role_weights)
    meaning = search_by_meaning.embed_query(tx, parsed, part, search.mode)
    ranking = _rank(tx, search, parsed, part, meaning)
    best = search_candidates.select_best(
        tx,
        parsed,
        part,
        ranking,
        conditions=search.conditions,
        count=search.count,
        min_score=search.min_score,
    )[search.offset :]
    found = _messages(tx, search, [(each.session_id, each.seq) for each in best])
    del best[len(found) :]
    has_scores = search.explain and meaning.mode != "meaning"
    scores = _word_scores(tx, parsed, part, ranking, best) if has_scores else {}
    hits = list(_hits(tx, parsed.words, zip(best, found, strict=True), scores))
    if search.explain:
        for hit, candidate in zip(hits, best, strict=True):
            hit.shares = ranking.shares(candidate.position)
    return Found(hits, meaning.mode, meaning.text, meaning.degraded)


def _rank(
    tx: Transaction,
    search: SearchRequest,
    parsed: ParsedQuery,
    part: SearchedPart,
    meaning: QueryMeaning,
) -> Ranking:
    has_words = meaning.mode != "meaning"
    scorer = search_by_words.score(
        tx, parsed, part, has_words=has_words, keeps_neighbours=search.context
    )
    return search_by_meaning.rank(
        tx, parsed, part, scorer, meaning, keeps_neighbours=search.context
    )


def _word_scores(
    tx: Transaction,
    parsed: ParsedQuery,
    part: SearchedPart,
    ranking: Ranking,
    best: Sequence[Candidate],
) -> dict[DocPosition, list[WordScore]]:
    seqs = {each.position: each.seq for each in best}
    return search_by_words.explain(tx, parsed, part, ranking.scorer, seqs, ranking.best_words)


def _hits(
    tx: Transaction,
    words: QueryWords,
    found: Iterable[tuple[Candidate, FoundMessage]],
    scores: Mapping[DocPosition, list[WordScore]],
) -> Iterator[Hit]:
    terms, analyzer = frozenset(words.whole_terms), tx.scope.rules.analyzer
    beginnings = words.beginnings
    for each, message in found:
        tx.check_deadline()
        wanted = terms
        if beginnings:
            own = analyzer.tokenize(indexed_part(message.content))
            wanted = terms.union(term for term in own if term.startswith(beginnings))
        snippet = make_snippet(message.content, wanted, analyzer)
        yield Hit(message, each.score, snippet, scores.get(each.position, []), each.weight)


def _add_sessions(tx: Transaction, search: SearchRequest, hits: Sequence[Hit]) -> None:
    """Give each hit its session, which is visible in this transaction."""
    session_ids = dict.fromkeys(hit.message.session_id for hit in hits)
    wanted = encode_json([(session_id, 0) for session_id in session_ids]).decode()
    found = tx.fetch_all(
        "sessions_of_hits", HitSession, positions=wanted, session_id=search.session_id
    )
    by_id = {session.session_id: session for session in found}
    for hit in hits:
        hit.session = by_id[hit.message.session_id]
