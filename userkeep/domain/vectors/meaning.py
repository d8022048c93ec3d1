"""Scores by meaning, with numpy; the recipe is described in `domain.search.meaning`.

numpy lets other threads run while it computes, so a scope of 50,000 messages delays nothing else.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from userkeep.domain.embedding import Vector
from userkeep.domain.search.meaning import (
    HEADER_BYTES,
    MEANING_SHARES,
    SCALE_UNIT,
    PackedVectors,
    Shares,
)
from userkeep.domain.search.ranking import DocPosition

_ROWS_AT_ONCE = 256
"""Converted to float32, they fit in a processor's cache, which is three times as fast as all."""

_PLACES_AT_ONCE = 10_000

_POWERS = 10 ** np.arange(HEADER_BYTES // 2 - 2, -1, -1)

_EQUAL = 1e-6
"""Cosines that are less apart are equal: float32 has no more digits."""

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class VectorScorer:
    """Scores the messages of a scope; see `domain.search.meaning.MeaningScorer`.

    Args:
        query: the embedding of the query, of unit length.
    """

    def __init__(self, query: Vector) -> None:
        self._query = np.asarray(query, np.float32)
        self._positions: list[Places] = [np.empty(0, np.int64)]
        self._cosines: list[Floats] = [np.empty(0)]

    def add(self, starts: Sequence[DocPosition], packed: Sequence[PackedVectors]) -> None:
        if not packed:
            return
        size = HEADER_BYTES + len(self._query)
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(-1, size)
        counts = [len(each) // size for each in packed]
        seqs, scales = _numbers(rows[:, :HEADER_BYTES])
        vectors = rows.view(np.int8)[:, HEADER_BYTES:]
        cosines = np.empty(len(rows))
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = vectors[first : first + _ROWS_AT_ONCE].astype(np.float32)
            # Not by BLAS: its result for a row depends on the rows around it, and equal messages
            # must have equal scores.
            cosines[first : first + len(some)] = np.einsum("ij,j->i", some, self._query)
        self._cosines.append(cosines * (scales * SCALE_UNIT))
        self._positions.append(np.repeat(np.asarray(starts, np.int64), counts) + seqs)

    def with_words(
        self,
        words: Mapping[DocPosition, float],
        *,
        allowed: Collection[DocPosition] | None = None,
        excluded: Collection[DocPosition] = (),
        keeps_neighbours: bool = True,
    ) -> "FusedScores":
        positions = np.concatenate(self._positions)
        order = np.argsort(positions)
        positions = positions[order]
        meaning = _meaning(np.concatenate(self._cosines)[order])
        offsets = np.zeros(len(positions), np.int64)
        if keeps_neighbours:
            meaning, offsets = _with_neighbours(positions, meaning)
        return FusedScores(positions, meaning, offsets, words).restricted(allowed, excluded)


class FusedScores:
    """Positions with their scores by words and meaning: see `search.meaning.RankedByMeaning`.

    Args:
        positions: those with an embedding, ascending.
        meaning: of each.
        offsets: of each, where the message is that it is of.
        words: the scores by words, also of messages that have no embedding.
    """

    def __init__(
        self,
        positions: Places,
        meaning: Floats,
        offsets: Places,
        words: Mapping[DocPosition, float],
    ) -> None:
        self._positions = positions
        self._meaning = meaning
        self._offsets = offsets
        self._words = np.zeros(len(positions))
        self._add_words(words)
        self._order: Places | None = None

    def _add_words(self, words: Mapping[DocPosition, float]) -> None:
        """Add scores by words, also of messages that have no embedding."""
        if not words:
            return
        positions = np.fromiter(words.keys(), np.int64, len(words))
        scores = np.fromiter(words.values(), np.float64, len(words))
        scores /= scores.max()
        is_further = ~_is_in(positions, self._positions)
        if len(self._positions):
            # What has no embedding is taken to mean what its words say, or one that was appended a
            # moment ago would come after all that are beside a good one.
            scores[is_further] *= 2
        further = positions[is_further]
        if len(further):
            order = np.argsort(np.concatenate((self._positions, further)))
            zeros = np.zeros(len(further))
            self._positions = np.concatenate((self._positions, further))[order]
            self._meaning = np.concatenate((self._meaning, zeros))[order]
            self._offsets = np.concatenate((self._offsets, zeros.astype(np.int64)))[order]
            self._words = np.zeros(len(order))
        self._words[np.searchsorted(self._positions, positions)] = scores

    def restricted(
        self, allowed: Collection[DocPosition] | None, excluded: Collection[DocPosition]
    ) -> "FusedScores":
        """Leave out positions, and those without any score."""
        is_kept = self._words + self._meaning > 0
        if allowed is not None:
            is_kept &= _is_in(self._positions, np.sort(_array(allowed)))
        if excluded:
            is_kept &= ~_is_in(self._positions, np.sort(_array(excluded)))
        self._positions = self._positions[is_kept]
        self._meaning = self._meaning[is_kept]
        self._offsets = self._offsets[is_kept]
        self._words = self._words[is_kept]
        return self

    def __len__(self) -> int:
        return len(self._positions)

    def best(self, count: int) -> list[tuple[DocPosition, float]]:
        return list(islice(self.ranked(), count))

    def ranked(self) -> Iterator[tuple[DocPosition, float]]:
        scores = self._words + self._meaning
        if self._order is None:
            self._order = np.argsort(-scores)
        for first in range(0, len(self._order), _PLACES_AT_ONCE):
            some = self._order[first : first + _PLACES_AT_ONCE]
            yield from zip(self._positions[some].tolist(), scores[some].tolist(), strict=True)

    def shares(self, position: DocPosition) -> Shares:
        place = int(np.searchsorted(self._positions, position))
        return Shares(
            float(self._words[place]), float(self._meaning[place]), int(self._offsets[place])
        )


def _is_in(positions: Places, ascending: Places) -> NDArray[np.bool_]:
    """Return which positions are among others: faster than numpy's own, which sorts them all."""
    if not len(ascending):
        return np.zeros(len(positions), np.bool_)
    places = np.searchsorted(ascending, positions)
    places[places == len(ascending)] = 0
    found: NDArray[np.bool_] = ascending[places] == positions
    return found


def _numbers(headers: NDArray[np.uint8]) -> tuple[Places, Places]:
    """Return the numbers in the headers of packed vectors: each is 1 and then 15 digits."""
    seqs, scales = (
        (headers[:, first + 1 : first + HEADER_BYTES // 2] - np.uint8(ord("0"))) @ _POWERS
        for first in (0, HEADER_BYTES // 2)
    )
    return seqs, scales


def _array(positions: Collection[DocPosition]) -> Places:
    return np.fromiter(positions, np.int64, len(positions))


def _meaning(cosines: Floats) -> Floats:
    """Return how much nearer than the mean each is, from 0 to 1 for the nearest.

    Where all are equally near, as the only message of a scope is, all are the nearest.
    """
    if not len(cosines):
        return cosines
    # Sorted, so that the sum does not depend on the order in which an engine returns them.
    above_mean: Floats = cosines - np.sort(cosines).mean()
    greatest = above_mean.max()
    if greatest <= _EQUAL:
        return np.ones(len(cosines))
    meaning: Floats = np.maximum(0.0, above_mean) / greatest
    return meaning


def _with_neighbours(positions: Places, own: Floats) -> tuple[Floats, Places]:
    """Return the best of each own score and a share of the neighbours', and of which one it is."""
    best, offsets = own.copy(), np.zeros(len(own), np.int64)
    for distance, share in MEANING_SHARES:
        # Within a session positions ascend by at least one, so a neighbour is within as many rows.
        for rows in range(1, distance + 1):
            is_near = positions[rows:] - positions[:-rows] == distance
            for target, source, offset in (
                (slice(rows, None), slice(None, -rows), -distance),
                (slice(None, -rows), slice(rows, None), distance),
            ):
                value = np.where(is_near, own[source] * share, 0.0)
                is_better = value > best[target]
                best[target][is_better] = value[is_better]
                offsets[target][is_better] = offset
    return best, offsets
