"""Ranking: which of the messages that have some of the words are meant.

The index finds, this ranks, and neither engine has a say in it: the same history gives the same
order on both. What goes in are matches: this word is in that message.

- A word counts by its rarity in the scope that is searched (BM25: Robertson and Zaragoza, "The
  Probabilistic Relevance Framework: BM25 and Beyond", 2009), however often it is in a message. A
  message is taken to have at least 40 words: short ones would otherwise win by being short.
- People say things over several turns, and the answer often has none of the question's words. So,
  for each word, a message takes the best of its own score and a share of its neighbours'.
- Whoever is named in the query is more likely to have said it; so is the user of an assistant.
- A month or a day in the query means what was said then, or soon after.

The constants are round on purpose: they were not tuned to one set of conversations.
"""

from collections.abc import Iterable, Mapping
from heapq import nlargest
from math import log
from operator import itemgetter
from typing import NamedTuple

import msgspec

SHORTEST_LENGTH = 40
"""Words; see the module."""

AROUND = ((0, 1.0), (-1, 0.4), (1, 0.4), (-2, 0.3), (2, 0.3), (-3, 0.2), (3, 0.2))
"""How far away in the session, and which share of a score a message takes from there."""

PARTICIPANT_WEIGHT = 2.0
DATE_WEIGHT = 1.5
ROLE_WEIGHTS: Mapping[str, float] = {"user": 1.5}
"""By `role_type`; others weigh 1. With 2 for the user, what an assistant said would be hidden."""

_SATURATION = 1.2
_LENGTH_SHARE = 0.75

Place = int
"""A session's ordinal in one search, and a `seq` in it: neighbours are neighbouring numbers."""

_SEQ_BITS = 40
_GAP = 4
"""More than the widest of AROUND: a seq is never so small that its neighbours are elsewhere."""


class Extent(NamedTuple):
    """How much there is in a scope: messages, and the sum of their lengths (see `length_of`)."""

    message_count: int
    total_length: int


Match = tuple[int, str, int, int]
"""A word that was asked for, by its ordinal, is in this message: its session, its seq, and how many
words it has."""


class WordScore(NamedTuple):
    """What one word of the query gives a message.

    Attributes:
        word: its ordinal.
        score: its part of the message's score, before any weight.
        away: where the word is: 0 in the message itself, -2 in the one that is two before it.
    """

    word: int
    score: float
    away: int


class Scores(msgspec.Struct):
    """What the words alone make of a scope.

    Attributes:
        sessions: their ids, by ordinal.
        totals: the score of every place near a word. A place may turn out to have no message.
        own: for each word, the score of every message that has it.
    """

    sessions: list[str]
    totals: dict[Place, float]
    own: list[dict[Place, float]]

    def best(self, count: int) -> list[tuple[Place, float]]:
        """The places with the best scores, best first."""
        return nlargest(count, self.totals.items(), key=itemgetter(1))

    def where(self, place: Place) -> tuple[str, int]:
        """The session and the seq of a place."""
        return self.sessions[place >> _SEQ_BITS], (place & ((1 << _SEQ_BITS) - 1)) - _GAP

    def of_words(self, place: Place) -> list[WordScore]:
        """How the score of a place came about, the greatest part first."""
        parts: list[WordScore] = []
        for word, own in enumerate(self.own):
            shares = [(own.get(place + away, 0.0) * share, away) for away, share in AROUND]
            score, away = max(shares, key=itemgetter(0))
            if score:
                parts.append(WordScore(word, score, away))
        return sorted(parts, key=lambda part: -part.score)


def length_of(word_count: int) -> int:
    """The length that a message is taken to have."""
    return max(word_count, SHORTEST_LENGTH)


def score_matches(matches: Iterable[Match], word_count: int, extent: Extent) -> Scores:
    """Score every message that has a word, and those around it.

    Args:
        matches: in any order; a word is in a message once.
        word_count: how many words were asked for.
        extent: of the scope that the matches come from.
    """
    starts: dict[str, Place] = {}
    lengths: list[dict[Place, int]] = [{} for _ in range(word_count)]
    for word, session_id, seq, count in matches:
        start = starts.get(session_id)
        if start is None:
            start = starts[session_id] = _place(len(starts), 0)
        lengths[word][start + seq] = count
    mean_length = extent.total_length / extent.message_count if extent.message_count else 1.0
    own = [_own_scores(of_word, extent.message_count, mean_length) for of_word in lengths]
    totals: dict[Place, float] = {}
    for of_word in own:
        _add(totals, _with_neighbours(of_word))
    return Scores(list(starts), totals, own)


def _place(ordinal: int, seq: int) -> Place:
    return ordinal << _SEQ_BITS | seq + _GAP


def _own_scores(
    lengths: Mapping[Place, int], message_count: int, mean_length: float
) -> dict[Place, float]:
    rarity = _rarity(len(lengths), message_count)
    shortest = _share(SHORTEST_LENGTH, mean_length) * rarity
    return {
        place: shortest if count <= SHORTEST_LENGTH else _share(count, mean_length) * rarity
        for place, count in lengths.items()
    }


def _rarity(with_word: int, message_count: int) -> float:
    # Matches and the extent are of one snapshot, but messages that are being deleted match still.
    all_of_them = max(message_count, with_word)
    return log(1 + (all_of_them - with_word + 0.5) / (with_word + 0.5))


def _share(length: int, mean_length: float) -> float:
    relative = 1 - _LENGTH_SHARE + _LENGTH_SHARE * length / mean_length
    return (1 + _SATURATION) / (1 + _SATURATION * relative)


def _with_neighbours(own: Mapping[Place, float]) -> dict[Place, float]:
    # Half the time of a search in a user of 50,000 messages is spent here: the widest loop is the
    # inner one.
    best = dict(own)
    known = best.get
    for away, share in AROUND[1:]:
        for place, score in own.items():
            near, value = place + away, score * share
            if value > known(near, 0.0):
                best[near] = value
    return best


def _add(totals: dict[Place, float], scores: dict[Place, float]) -> None:
    if not totals:
        totals.update(scores)
        return
    known = totals.get
    for place, score in scores.items():
        totals[place] = known(place, 0.0) + score
