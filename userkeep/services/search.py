"""Find the messages that a query means, best first; without words, the newest.

The index knows which messages have which words; `domain.search.ranking` decides which of them are
meant. Where messages have embeddings, `domain.search.meaning` adds how near they are to the query.
Speaker and date change the weight of a whole message. They are only read for messages that
could still get among the first with them: in batches, best first, until no other message can
overtake the last one of the result.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple

import msgspec

from userkeep.domain.embedding import RecordedModel, Vector
from userkeep.domain.errors import InvalidField
from userkeep.domain.message import Message
from userkeep.domain.search.analyzer import MAX_INDEXED_BYTES, indexed_part
from userkeep.domain.search.meaning import (
    CannotEmbed,
    Degraded,
    PackedVectors,
    Ranked,
    RankedByMeaning,
    SearchMode,
    Shares,
)
from userkeep.domain.search.query import (
    MessageWeight,
    ParsedQuery,
    QueryWords,
    plain_words,
    web_words,
)
from userkeep.domain.search.ranking import CorpusStats, DocPosition, Posting, Scorer
from userkeep.domain.search.snippets import Snippet, make_snippet
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import no_such_user
from userkeep.domain.values.filters import Node
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.paging import MAX_LIMIT, MAX_PAGE_BYTES
from userkeep.domain.values.text import check_characters
from userkeep.domain.values.times import Instant
from userkeep.services import embeddings, sessions, users

Syntax = Literal["plain", "web"]
"""How a query is read."""

MAX_QUERY_LENGTH = 10_000
"""In characters; enough for a whole message as the query."""

MAX_HITS = MAX_LIMIT
"""How many hits a search ranks at most: those that it returns, and those before them."""

_FIRST_BATCH = 50
_MESSAGES_AT_ONCE = 25
_BATCH_GROWTH = 4
_LARGEST_BATCH = 10_000

_POSTINGS_AT_ONCE = 300_000
"""How many postings are in memory at a time, 200 bytes each, and so how many one word may have."""

_MAX_SPEAKER_COUNT = 10_000
"""Up to how many messages of speakers whom the query names are counted."""

_VECTORS_AT_ONCE = 10_000
"""Of 384 dimensions, 4 MB."""

_MAX_TEXTS = 10_000
"""How many texts of candidates a search may read."""

_MAX_POSITIONS = 1_000_000
"""How many messages a search may score, with their neighbours; 130 bytes each."""


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


class WordScore(msgspec.Struct):
    """What a word of the query contributes to a message, and the seq of the message that has it."""

    word: str
    score: float
    seq: int


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


def searched_words(tx: Transaction, query: str, syntax: Syntax) -> list[str]:
    """Return the words of a query that a search looks for, each once, in the query's order."""
    return list(dict.fromkeys(_words(tx, query, syntax).terms.values()))


def find(tx: Transaction, search: SearchRequest) -> Found:
    """Return the best hits, best first.

    Where a query needs an embedding, the operation is run again once there is one.

    Raises:
        NotFound: there is no such user or session. Gone: it is being deleted.
        InvalidField: naming the field; also where the query has too many matches to rank.
    """
    _check(search)
    part = _part(tx, search)
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


def _part(tx: Transaction, search: SearchRequest) -> _Part:
    bound_to = tx.scope.user_id
    user_id = bound_to if search.user_id is None else search.user_id
    if bound_to not in {None, user_id}:
        raise no_such_user(str(user_id))
    if search.session_id is not None:
        return _session_part(tx, search.session_id, user_id)
    if user_id is not None:
        user = users.get(tx, user_id)
        return _Part(user_id=user.user_id, search_scope=user.number)
    return _Part()


def _session_part(tx: Transaction, session_id: str, user_id: str | None) -> _Part:
    scope = tx.scope if user_id is None else tx.scope.for_user(user_id)
    sessions.get(tx.in_scope(scope), session_id)
    search_scope = tx.fetch_one("search_scope", int, session_id=session_id)
    return _Part(session_id=session_id, search_scope=search_scope)


def _newest(tx: Transaction, search: SearchRequest, part: _Part) -> list[Hit]:
    analyzer = tx.scope.rules.analyzer
    if search.min_score > 0:
        return []
    newest = _messages(tx, search, _newest_positions(tx, search, part)[search.offset :])
    return [
        Hit(message, 0.0, make_snippet(message.content, frozenset(), analyzer), [], None)
        for message in newest
    ]


def _newest_positions(tx: Transaction, search: SearchRequest, part: _Part) -> list[tuple[str, int]]:
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


def _best(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> Found:
    parsed = _parse(tx, search, query, part)
    by_meaning = _by_meaning(tx, search, parsed, part)
    scorer = _score(tx, search, parsed, part, has_words=by_meaning.mode != "meaning")
    ranking = _ranking(tx, search, parsed, part, scorer, by_meaning)
    best = _best_candidates(tx, search, parsed, ranking)[search.offset :]
    found = _messages(tx, search, [(each.session_id, each.seq) for each in best])
    del best[len(found) :]
    has_scores = search.explain and by_meaning.mode != "meaning"
    scores = _word_scores(tx, parsed, part, ranking, best) if has_scores else {}
    hits = list(_hits(tx, parsed.words, zip(best, found, strict=True), scores))
    if search.explain:
        for hit, candidate in zip(hits, best, strict=True):
            hit.shares = ranking.shares(candidate.position)
    return Found(hits, by_meaning.mode, by_meaning.text, by_meaning.degraded)


class _ByMeaning(msgspec.Struct):
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


def _by_meaning(
    tx: Transaction, search: SearchRequest, parsed: ParsedQuery, part: _Part
) -> _ByMeaning:
    """Return what is compared of the meaning: the embedding of the query, if there is one."""
    meaning = tx.scope.rules.meaning
    if search.mode == "words":
        return _ByMeaning(None if meaning is None else "words")
    is_required = search.mode == "meaning"
    if meaning is None:
        return _ByMeaning(degraded=_NOT_CONFIGURED) if is_required else _ByMeaning()
    text, model = parsed.text_to_embed, embeddings.searched_model(tx)
    if not text:
        return _ByMeaning("words", degraded=_NO_TEXT if is_required else None)
    if not embeddings.may_embed_query(tx, part.user_id, part.session_id):
        return _ByMeaning("words", degraded=_DO_NOT_EMBED)
    if model is None:
        return _ByMeaning("words", degraded=_NOTHING_EMBEDDED if is_required else None)
    try:
        vector = meaning.query_vector(tx, tx.scope.project_id, text, model)
    except CannotEmbed as error:
        return _ByMeaning("words", degraded=error.degraded)
    return _ByMeaning(search.mode, text, vector, model)


_NOT_CONFIGURED = Degraded("not_configured", "No embedding model is configured.")
_NOTHING_EMBEDDED = Degraded("nothing_embedded", "No message has an embedding yet.")
_NO_TEXT = Degraded("nothing_to_embed", "The query has no text whose meaning could be compared.")
_DO_NOT_EMBED = Degraded(
    "do_not_embed", "The project, the user or the session is not to be embedded."
)


class _Ranking(msgspec.Struct):
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


def _ranking(
    tx: Transaction,
    search: SearchRequest,
    parsed: ParsedQuery,
    part: _Part,
    scorer: Scorer,
    by_meaning: _ByMeaning,
) -> _Ranking:
    """Rank what words have found, by words and meaning if there is an embedding."""
    meaning = tx.scope.rules.meaning
    if meaning is None or by_meaning.vector is None or by_meaning.model is None:
        return _Ranking(scorer, scorer)
    of_meaning = meaning.scorer(by_meaning.vector)
    for parts in _vector_parts(tx, part):
        tx.check_deadline()
        packed = _packed_vectors(tx, part, by_meaning.model, parts)
        starts = [scorer.start(parts[ordinal][0]) for ordinal, _vectors in packed]
        of_meaning.add(starts, [vectors for _ordinal, vectors in packed])
    found = dict(scorer.items())
    allowed = scorer.with_required
    if allowed is None and parsed.words.required:
        allowed = found.keys()  # what has the phrase has its words
    words = {} if search.mode == "meaning" else found
    ranked = of_meaning.with_words(
        words, allowed=allowed, excluded=scorer.excluded, keeps_neighbours=search.context
    )
    return _Ranking(scorer, ranked, ranked, max(words.values(), default=1.0))


def _vector_parts(tx: Transaction, part: _Part) -> Iterator[list[tuple[str, int]]]:
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


class _SessionSize(NamedTuple):
    session_id: str
    message_count: int
    last_seq: int


def _packed_vectors(
    tx: Transaction, part: _Part, model: RecordedModel, parts: Sequence[tuple[str, int]]
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


def _score(
    tx: Transaction,
    search: SearchRequest,
    parsed: ParsedQuery,
    part: _Part,
    *,
    has_words: bool,
) -> Scorer:
    """Return the scores of the messages that have some of the query's terms, by the index alone.

    Args:
        has_words: whether these scores count; otherwise only what is required and excluded does.
    """
    stats = tx.fetch_one("corpus_stats", CorpusStats, **part.owner) or CorpusStats(0, 0)
    scorer = Scorer(stats, keeps_neighbours=search.context)
    words = parsed.words
    terms, missing = list(words.terms), set(words.required_terms)
    if not (has_words or words.required):
        terms = [term for term in terms if term in missing]
    for ordinal, postings in _postings(tx, terms, part):
        term = terms[ordinal]
        count = parsed.speaker_counts.get(term, 0)
        scorer.add(postings, count, is_required=term in words.required_terms)
        _check_positions(scorer, part)
        missing.discard(term)
    if missing:
        scorer = Scorer(stats)
        scorer.add((), is_required=True)
        return scorer
    if words.excluded_terms:
        for _ordinal, postings in _postings(tx, words.excluded_terms, part):
            scorer.exclude(postings)
    return scorer


def _hits(
    tx: Transaction,
    words: QueryWords,
    found: Iterable[tuple[_Candidate, FoundMessage]],
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


def _parse(tx: Transaction, search: SearchRequest, query: str, part: _Part) -> ParsedQuery:
    words = _words(tx, query, search.syntax)
    counts = tx.search_index.speaker_counts(
        words.whole_terms, part.search_scope, part.session_id, limit=_MAX_SPEAKER_COUNT
    )
    return ParsedQuery(words, counts, search.role_weights, tx.scope.rules.analyzer)


def _words(tx: Transaction, query: str, syntax: Syntax) -> QueryWords:
    return (web_words if syntax == "web" else plain_words)(query, tx.scope.rules.analyzer)


def _postings(
    tx: Transaction, terms: Sequence[str], part: _Part
) -> Iterator[tuple[int, Iterator[Posting]]]:
    """Yield the postings of each term, by its ordinal, in order.

    The terms are read together, and in halves where they have too many postings for that.

    Raises:
        InvalidField: the terms have more postings than a search may rank.
    """
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
    tx: Transaction, search: SearchRequest, parsed: ParsedQuery, ranking: _Ranking
) -> list[_Candidate]:
    best: list[_Candidate] = []
    reader = _TextReader(tx, parsed.words, search.session_id)
    for batch in _batches(ranking.ranked, search.count):
        tx.check_deadline()
        best += _candidates(tx, search, parsed, ranking.scorer, batch)
        best = reader.first_allowed(sorted(best, key=attrgetter("rank")), search.count)
        greatest_left = batch[-1][1] * parsed.max_weight
        if greatest_left < search.min_score:
            break
        if len(best) == search.count and best[-1].score > greatest_left:
            break
    return best


class _TextReader:
    """Reads the texts of candidates, if the query has phrases."""

    def __init__(self, tx: Transaction, words: QueryWords, session_id: str | None) -> None:
        self._tx = tx
        self._words = words
        self._session_id = session_id
        self._is_needed = bool(words.required or words.excluded)
        self._allowed: set[DocPosition] = set()
        self._read = 0

    def first_allowed(self, ranked: Sequence[_Candidate], count: int) -> list[_Candidate]:
        """Return the first candidates that the query allows.

        Raises:
            InvalidField: too many texts would have to be read.
        """
        if not self._is_needed:
            return list(ranked[:count])
        allowed: list[_Candidate] = []
        for first in range(0, len(ranked), _MESSAGES_AT_ONCE):
            some = ranked[first : first + _MESSAGES_AT_ONCE]
            self._check([each for each in some if each.position not in self._allowed])
            allowed += (each for each in some if each.position in self._allowed)
            if len(allowed) >= count:
                break
        return allowed[:count]

    def _check(self, candidates: Sequence[_Candidate]) -> None:
        self._tx.check_deadline()
        self._read += len(candidates)
        if self._read > _MAX_TEXTS:
            raise InvalidField(
                f"query: the texts of more than {_MAX_TEXTS:,} messages would have to be read for "
                "its phrases. Use rarer words, or search in a part: a user, a session, a time.",
                "query",
            )
        positions = encode_json([(each.session_id, each.seq) for each in candidates]).decode()
        analyzer = self._tx.scope.rules.analyzer
        texts = self._tx.fetch_all(
            "texts_at",
            _text_at,
            positions=positions,
            session_id=self._session_id,
            characters=MAX_INDEXED_BYTES,
        )
        for ordinal, text in texts:
            self._tx.check_deadline()
            if self._words.allow(analyzer.readings(indexed_part(text))):
                self._allowed.add(candidates[ordinal].position)


def _text_at(ordinal: int, text: str) -> tuple[int, str]:
    return ordinal, text


def _batches(scorer: Ranked, limit: int) -> Iterator[list[tuple[DocPosition, float]]]:
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
    weighed = tx.fetch_all(
        "messages_at",
        _Weighed,
        positions=positions,
        session_id=search.session_id,
        **search.conditions,
    )
    for each in weighed:
        position, score = batch[each.ordinal]
        weight = parsed.weigh(each)
        total = score * weight.total
        if total < search.min_score:
            continue
        yield _Candidate(total, position, *places[each.ordinal], each.created_at, weight)


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


def _word_scores(
    tx: Transaction,
    parsed: ParsedQuery,
    part: _Part,
    ranking: _Ranking,
    hits: Sequence[_Candidate],
) -> dict[DocPosition, list[WordScore]]:
    """Return what each word contributes to each hit, the greatest part first."""
    scorer = ranking.scorer
    words = list(parsed.words.terms.items())
    seqs = {each.position: each.seq for each in hits}
    scores: dict[DocPosition, list[WordScore]] = {position: [] for position in seqs}
    for ordinal, postings in _postings(tx, list(parsed.words.terms), part):
        term, word = words[ordinal]
        count = parsed.speaker_counts.get(term, 0)
        for position, score, offset in scorer.explain(postings, seqs, count):
            scores[position].append(
                WordScore(word, score / ranking.best_words, seqs[position] + offset)
            )
    for of_hit in scores.values():
        of_hit.sort(key=lambda each: -each.score)
    return scores
