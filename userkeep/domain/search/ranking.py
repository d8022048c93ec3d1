"""Ranking: score the messages that have some of the query's terms.

The index finds postings (this term is in that message), and this module ranks them. No engine takes
part in it, so the same history gives the same order on both.

- A term weighs by its rarity in the searched scope (BM25: Robertson and Zaragoza, "The
  Probabilistic Relevance Framework: BM25 and Beyond", 2009), however often it is in a message. A
  message counts as at least 40 words long: otherwise short messages would win by being short.
- A conversation spreads over several messages, and the answer often has none of the question's
  terms. So for each term, a message gets the best of its own score and a share of its neighbours'.
- Messages of a speaker that the query names weigh more; so do those of an assistant's user.
- Where the query names a month or a day, messages of that time weigh more.

The constants are round on purpose: they were not tuned to one set of conversations.
"""

from collections.abc import Iterable, Mapping
from heapq import nlargest
from math import log
from operator import itemgetter
from typing import NamedTuple

import msgspec

SHORTEST_LENGTH = 40
"""In words; see the module."""

NEIGHBOUR_WEIGHTS = ((0, 1.0), (-1, 0.4), (1, 0.4), (-2, 0.3), (2, 0.3), (-3, 0.2), (3, 0.2))
"""By offset in the session: which share of a neighbour's score a message gets."""

SPEAKER_WEIGHT = 2.0
DATE_WEIGHT = 1.5
ROLE_WEIGHTS: Mapping[str, float] = {"user": 1.5}
"""By `role_type`; others weigh 1. With 2 for the user, an assistant's messages were hidden."""

_SATURATION = 1.2
_LENGTH_SHARE = 0.75

DocPosition = int
"""A session's ordinal in one search and a `seq` in it, packed: neighbours are adjacent numbers."""

_SEQ_BITS = 40
_GAP = 4
"""Wider than NEIGHBOUR_WEIGHTS, so that no neighbour of a message is in another session."""


class CorpusStats(NamedTuple):
    """How much a scope has: messages, and the sum of their lengths (see `length_for_ranking`)."""

    message_count: int
    total_length: int


Posting = tuple[int, str, int, int]
"""A term of the query, by its ordinal, is in a message: its session, its seq, and how many words it
has. A plain tuple, because a search may read 100,000 of them."""


class TermScore(NamedTuple):
    """What one term of the query contributes to a message.

    Attributes:
        term: its ordinal in the query.
        score: its part of the message's score, before any weight.
        offset: where the term is: 0 in the message itself, -2 in the second message before it.
    """

    term: int
    score: float
    offset: int


class Scores(msgspec.Struct):
    """The scores of a search by terms alone.

    Attributes:
        sessions: their ids, by ordinal.
        totals: the score of each position near a term. There may be no message at a position.
        own: for each term, the score of each message that has it.
    """

    sessions: list[str]
    totals: dict[DocPosition, float]
    own: list[dict[DocPosition, float]]

    def best(self, count: int) -> list[tuple[DocPosition, float]]:
        """Return the positions with the best scores, best first."""
        return nlargest(count, self.totals.items(), key=itemgetter(1))

    def locate(self, position: DocPosition) -> tuple[str, int]:
        """Return the session and the seq of a position."""
        return self.sessions[position >> _SEQ_BITS], (position & ((1 << _SEQ_BITS) - 1)) - _GAP

    def explain(self, position: DocPosition) -> list[TermScore]:
        """Return what each term contributes to the score of a position, the greatest part first."""
        parts: list[TermScore] = []
        for term, own in enumerate(self.own):
            shares = [
                (own.get(position + offset, 0.0) * share, offset)
                for offset, share in NEIGHBOUR_WEIGHTS
            ]
            score, offset = max(shares, key=itemgetter(0))
            if score:
                parts.append(TermScore(term, score, offset))
        return sorted(parts, key=lambda part: -part.score)


def length_for_ranking(word_count: int) -> int:
    """Return the length that a message counts as."""
    return max(word_count, SHORTEST_LENGTH)


def score_postings(postings: Iterable[Posting], term_count: int, stats: CorpusStats) -> Scores:
    """Score each message that has a term, and its neighbours.

    Args:
        postings: in any order, one for each term and message.
        term_count: how many terms the query has.
        stats: of the scope that the postings come from.
    """
    starts: dict[str, DocPosition] = {}
    lengths: list[dict[DocPosition, int]] = [{} for _ in range(term_count)]
    for term, session_id, seq, word_count in postings:
        start = starts.get(session_id)
        if start is None:
            start = starts[session_id] = _position(len(starts), 0)
        lengths[term][start + seq] = word_count
    mean_length = stats.total_length / stats.message_count if stats.message_count else 1.0
    own = [_own_scores(of_term, stats.message_count, mean_length) for of_term in lengths]
    totals: dict[DocPosition, float] = {}
    for of_term in own:
        _add(totals, _with_neighbours(of_term))
    return Scores(list(starts), totals, own)


def _position(ordinal: int, seq: int) -> DocPosition:
    return ordinal << _SEQ_BITS | seq + _GAP


def _own_scores(
    lengths: Mapping[DocPosition, int], message_count: int, mean_length: float
) -> dict[DocPosition, float]:
    rarity = _rarity(len(lengths), message_count)
    shortest = _share(SHORTEST_LENGTH, mean_length) * rarity
    return {
        position: shortest if count <= SHORTEST_LENGTH else _share(count, mean_length) * rarity
        for position, count in lengths.items()
    }


def _rarity(with_term: int, message_count: int) -> float:
    # Postings and stats are of one snapshot, but only postings count messages that are being
    # deleted.
    total = max(message_count, with_term)
    return log(1 + (total - with_term + 0.5) / (with_term + 0.5))


def _share(length: int, mean_length: float) -> float:
    relative = 1 - _LENGTH_SHARE + _LENGTH_SHARE * length / mean_length
    return (1 + _SATURATION) / (1 + _SATURATION * relative)


def _with_neighbours(own: Mapping[DocPosition, float]) -> dict[DocPosition, float]:
    # Half the time of a search in a user of 50,000 messages is spent here, so the longer loop is
    # the inner one.
    best = dict(own)
    get_best = best.get
    for offset, share in NEIGHBOUR_WEIGHTS[1:]:
        for position, score in own.items():
            neighbour, value = position + offset, score * share
            if value > get_best(neighbour, 0.0):
                best[neighbour] = value
    return best


def _add(totals: dict[DocPosition, float], scores: dict[DocPosition, float]) -> None:
    if not totals:
        totals.update(scores)
        return
    get_total = totals.get
    for position, score in scores.items():
        totals[position] = get_total(position, 0.0) + score
