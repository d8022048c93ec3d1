"""Select the best of the scored messages.

Speaker and date change the weight of a whole message. They are only read for messages that
could still get among the first with them: in batches, best first, until no other message can
overtake the last one of the result.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.search.analyzer import MAX_INDEXED_BYTES, indexed_part
from userkeep.domain.search.meaning import Ranked
from userkeep.domain.search.query import MessageWeight, ParsedQuery, QueryWords
from userkeep.domain.search.ranking import DocPosition, Scorer
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import Instant
from userkeep.services.search_by_meaning import Ranking
from userkeep.services.searched_part import SearchedPart

_FIRST_BATCH = 50
_BATCH_GROWTH = 4
_LARGEST_BATCH = 10_000

_TEXTS_AT_ONCE = 25
_MAX_TEXTS = 10_000
"""How many texts of candidates a search may read."""


class Candidate(msgspec.Struct):
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


class _Weighed(msgspec.Struct):
    """What the weight of a message depends on; `ordinal` is its place in the batch."""

    ordinal: int
    name: str
    role: str
    created_at: Instant


def select_best(
    tx: Transaction,
    parsed: ParsedQuery,
    part: SearchedPart,
    ranking: Ranking,
    *,
    conditions: Mapping[str, Any],
    count: int,
    min_score: float,
) -> list[Candidate]:
    """Return the first candidates that the query allows, best first.

    Args:
        conditions: on each message, by their names in the queries.
        count: how many at most.
        min_score: the lowest score of a candidate.

    Raises:
        InvalidField: too many texts would have to be read.
    """
    best: list[Candidate] = []
    reader = _TextReader(tx, parsed.words, part.session_id)
    for batch in _batches(ranking.ranked, count):
        tx.check_deadline()
        best += _candidates(
            tx, parsed, part, ranking.scorer, batch, conditions=conditions, min_score=min_score
        )
        best = reader.first_allowed(sorted(best, key=attrgetter("rank")), count)
        greatest_left = batch[-1][1] * parsed.max_weight
        if greatest_left < min_score:
            break
        if len(best) == count and best[-1].score > greatest_left:
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

    def first_allowed(self, ranked: Sequence[Candidate], count: int) -> list[Candidate]:
        """Return the first candidates that the query allows.

        Raises:
            InvalidField: too many texts would have to be read.
        """
        if not self._is_needed:
            return list(ranked[:count])
        allowed: list[Candidate] = []
        for first in range(0, len(ranked), _TEXTS_AT_ONCE):
            some = ranked[first : first + _TEXTS_AT_ONCE]
            self._check([each for each in some if each.position not in self._allowed])
            allowed += (each for each in some if each.position in self._allowed)
            if len(allowed) >= count:
                break
        return allowed[:count]

    def _check(self, candidates: Sequence[Candidate]) -> None:
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
    parsed: ParsedQuery,
    part: SearchedPart,
    scorer: Scorer,
    batch: Sequence[tuple[DocPosition, float]],
    *,
    conditions: Mapping[str, Any],
    min_score: float,
) -> Iterator[Candidate]:
    """Weigh the messages at positions, which may have none."""
    places = [scorer.locate(position) for position, _score in batch]
    positions = encode_json(places).decode()
    weighed = tx.fetch_all(
        "messages_at",
        _Weighed,
        positions=positions,
        session_id=part.session_id,
        **conditions,
    )
    for each in weighed:
        position, score = batch[each.ordinal]
        weight = parsed.weigh(each)
        total = score * weight.total
        if total < min_score:
            continue
        yield Candidate(total, position, *places[each.ordinal], each.created_at, weight)
