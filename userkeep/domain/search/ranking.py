"""Ranking: score the messages that have some of the query's terms.

The index finds postings (this term is in that message), and this module ranks them. No engine takes
part in it, so the same history gives the same order on both.

- A term weighs by its rarity in the searched scope (BM25: Robertson and Zaragoza, "The
  Probabilistic Relevance Framework: BM25 and Beyond", 2009), however often it is in a message. A
  message counts as at least 40 words long: otherwise short messages would win by being short.
- A conversation spreads over several messages, and the answer often has none of the question's
  terms. So for each term, a message gets the best of its own score and a share of its neighbours'.
- Messages of a speaker whose name has a word of the query weigh more; so do those of an
  assistant's user. Such a word is as common as if each of the speaker's messages had it: a question
  about Caroline is hardly one for the few messages that mention her.
- Where the query names a month or a day, messages of that time weigh more.

The constants are round on purpose: they were not tuned to one set of conversations.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from heapq import merge, nlargest
from itertools import islice
from math import log
from operator import itemgetter
from typing import NamedTuple

SHORTEST_LENGTH = 40
"""In words; see the module."""

NEIGHBOUR_WEIGHTS = ((0, 1.0), (-1, 0.4), (1, 0.4), (-2, 0.3), (2, 0.3), (-3, 0.2), (3, 0.2))
"""By offset in the session: which share of a neighbour's score a message gets."""

SPEAKER_WEIGHT = 2.0
DATE_WEIGHT = 1.5
ROLE_WEIGHTS: Mapping[str, float] = {"user": 1.5}
"""By `role`; others weigh 1. With 2 for the user, an assistant's messages were hidden."""

_SATURATION = 1.2
_LENGTH_SHARE = 0.75

DocPosition = int
"""A session's ordinal in one search and a `seq` in it, packed: neighbours are adjacent numbers."""

_MANY = 50_000
"""A term of more messages than this is common, so it adds no messages that have none of the terms:
up to six for each would be the largest part of a search's memory, at the end of its results."""

_SORTED_AT_ONCE = 50_000

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


def length_for_ranking(word_count: int) -> int:
    """Return the length that a message counts as."""
    return max(word_count, SHORTEST_LENGTH)


class Scorer:
    """Scores the messages that have terms of a query, and their neighbours, term by term.

    It keeps one number for each message, not for each term and message: of 60 words that each of
    60,000 messages has, that is the difference between 10 MB and 500.

    Args:
        stats: of the scope that the postings come from.
        keeps_neighbours: whether messages that have none of the terms are among the scored ones.
    """

    def __init__(self, stats: CorpusStats, *, keeps_neighbours: bool = True) -> None:
        self._message_count = stats.message_count
        self._mean_length = stats.total_length / stats.message_count if stats.message_count else 1.0
        self._starts: dict[str, DocPosition] = {}
        self._sessions: list[str] = []
        self._totals: dict[DocPosition, float] = {}
        self._with_term: set[DocPosition] | None = None if keeps_neighbours else set()
        self._with_required: set[DocPosition] | None = None
        self._excluded: set[DocPosition] = set()

    def __len__(self) -> int:
        """Return how many positions have a score. There may be no message at some of them."""
        return len(self._totals)

    def add(
        self, postings: Iterable[Posting], speaker_count: int = 0, *, is_required: bool = False
    ) -> None:
        """Add the scores of the next term, from all its postings.

        Args:
            speaker_count: how many messages are of speakers who have the term in their names.
            is_required: whether messages without the term are not among the scored ones.
        """
        own = self._own_scores(postings, speaker_count)
        if is_required:
            known = self._with_required
            self._with_required = set(own) if known is None else known & own.keys()
        _add(self._totals, _with_neighbours(own, self._totals))
        if self._with_term is not None:
            self._with_term.update(own)

    def exclude(self, postings: Iterable[Posting]) -> None:
        """Leave the messages with a term out of the scored ones."""
        self._excluded.update(self._own_scores(postings, 0))

    def explain(
        self,
        postings: Iterable[Posting],
        positions: Iterable[DocPosition],
        speaker_count: int = 0,
    ) -> list[tuple[DocPosition, float, int]]:
        """Return what one term has contributed, to those of the positions that have any of it.

        Args:
            postings, speaker_count: as for `add`.
            positions: of messages.

        Returns:
            For each position the score, before any weight, and where the term is: 0 in the message
            itself, -2 in the second message before it.
        """
        own = self._own_scores(postings, speaker_count)
        contributions = []
        for position in positions:
            shares = [
                (own.get(position + offset, 0.0) * share, offset)
                for offset, share in NEIGHBOUR_WEIGHTS
            ]
            score, offset = max(shares, key=itemgetter(0))
            if score:
                contributions.append((position, score, offset))
        return contributions

    def best(self, count: int) -> list[tuple[DocPosition, float]]:
        """Return the positions with the best scores, best first."""
        return nlargest(count, self.items(), key=itemgetter(1))

    def ranked(self) -> Iterator[tuple[DocPosition, float]]:
        """Iterate over all positions, best score first.

        They are sorted in chunks, because no other thread runs while Python sorts.
        """
        items, chunks = iter(self.items()), []
        while chunk := list(islice(items, _SORTED_AT_ONCE)):
            chunk.sort(key=itemgetter(1), reverse=True)
            chunks.append(chunk)
        return merge(*chunks, key=itemgetter(1), reverse=True)

    def start(self, session_id: str) -> DocPosition:
        """Return the position of a session, to which the `seq` of its messages is added."""
        start = self._starts.get(session_id)
        if start is None:
            start = self._starts[session_id] = _position(len(self._starts), 0)
            self._sessions.append(session_id)
        return start

    @property
    def with_required(self) -> Set[DocPosition] | None:
        """The messages with all required terms; None if no term is required."""
        return self._with_required

    @property
    def excluded(self) -> Set[DocPosition]:
        """The messages with an excluded term."""
        return self._excluded

    def items(self) -> Iterable[tuple[DocPosition, float]]:
        """Return the positions that may be found, with their scores."""
        kept = self._with_term if self._with_required is None else self._with_required
        if kept is None and not self._excluded:
            return self._totals.items()
        excluded = self._excluded
        return (
            (position, total)
            for position, total in self._totals.items()
            if (kept is None or position in kept) and position not in excluded
        )

    def locate(self, position: DocPosition) -> tuple[str, int]:
        """Return the session and the seq of a position."""
        seq = (position & ((1 << _SEQ_BITS) - 1)) - _GAP
        return self._sessions[position >> _SEQ_BITS], seq

    def _own_scores(
        self, postings: Iterable[Posting], speaker_count: int
    ) -> dict[DocPosition, float]:
        lengths: dict[DocPosition, int] = {}
        get_start = self._starts.get
        for _term, session_id, seq, word_count in postings:
            start = get_start(session_id)
            if start is None:
                start = self.start(session_id)
            lengths[start + seq] = word_count
        # Postings and stats are of one snapshot, but only postings count messages that are being
        # deleted.
        message_count = max(self._message_count, len(lengths))
        with_term = min(len(lengths) + speaker_count, message_count)
        return _own_scores(lengths, _rarity(with_term, message_count), self._mean_length)


def _position(ordinal: int, seq: int) -> DocPosition:
    return ordinal << _SEQ_BITS | seq + _GAP


def _own_scores(
    lengths: Mapping[DocPosition, int], rarity: float, mean_length: float
) -> dict[DocPosition, float]:
    shortest = _share(SHORTEST_LENGTH, mean_length) * rarity
    return {
        position: shortest if count <= SHORTEST_LENGTH else _share(count, mean_length) * rarity
        for position, count in lengths.items()
    }


def _rarity(with_term: int, message_count: int) -> float:
    return log(1 + (message_count - with_term + 0.5) / (with_term + 0.5))


def _share(length: int, mean_length: float) -> float:
    relative = 1 - _LENGTH_SHARE + _LENGTH_SHARE * length / mean_length
    return (1 + _SATURATION) / (1 + _SATURATION * relative)


def _with_neighbours(
    own: Mapping[DocPosition, float], known: Mapping[DocPosition, float]
) -> dict[DocPosition, float]:
    """Return the scores of a term with those of neighbours.

    Args:
        own: the scores of the messages that have it. If there are many, neighbours are added only
            if they have a term themselves.
        known: the messages that have another term.
    """
    # Half the time of a search in a user of 50,000 messages is spent here, so the longer loop is
    # the inner one.
    best, adds_any = dict(own), len(own) <= _MANY
    get_best = best.get
    for offset, share in NEIGHBOUR_WEIGHTS[1:]:
        for position, score in own.items():
            neighbour, value = position + offset, score * share
            if value > get_best(neighbour, 0.0) and (
                adds_any or neighbour in known or neighbour in own
            ):
                best[neighbour] = value
    return best


def _add(totals: dict[DocPosition, float], scores: dict[DocPosition, float]) -> None:
    if not totals:
        totals.update(scores)
        return
    get_total = totals.get
    for position, score in scores.items():
        totals[position] = get_total(position, 0.0) + score
