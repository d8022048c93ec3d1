"""The arithmetic of vectors without numpy: for some thousands of documents."""

import struct
from array import array
from collections.abc import Sequence
from heapq import nlargest
from math import sqrt
from operator import mul

from userkeep.domain.vectors.encoding import SCALE_BYTES, decode_embedding
from userkeep.domain.vectors.ranking import Nearest, PackedVectors


class PlainVectorMath:
    """The arithmetic of vectors in Python alone."""

    def nearest(self, query: bytes, count: int) -> Nearest:
        """Return what collects the nearest vectors."""
        return _PlainNearest(_unit(query), count)

    def cosines(self, query: bytes, embeddings: Sequence[bytes]) -> list[float]:
        """Return the cosines with a query."""
        unit = _unit(query)
        return [_cosine(unit, decode_embedding(each)) for each in embeddings]

    def select_diverse(
        self, cosines: Sequence[float], embeddings: Sequence[bytes], count: int, relevance: float
    ) -> list[int]:
        """Select by maximal marginal relevance."""
        units = [_unit(each) for each in embeddings]
        left = list(range(len(units)))
        # Of each embedding, the greatest cosine with one that was selected.
        redundancy = [0.0] * len(units)
        selected: list[int] = []
        while left and len(selected) < count:
            best = max(
                left,
                key=lambda at: (relevance * cosines[at] - (1 - relevance) * redundancy[at], -at),
            )
            left.remove(best)
            for at in left:
                cosine = sum(map(mul, units[at], units[best]))
                redundancy[at] = max(redundancy[at], cosine) if selected else cosine
            selected.append(best)
        return selected


class _PlainNearest:
    def __init__(self, query: Sequence[float], count: int) -> None:
        self._query = query
        self._count = count
        self._best: list[tuple[float, int]] = []

    def add(self, packed: PackedVectors) -> None:
        query, size = self._query, SCALE_BYTES + len(self._query)
        vectors = memoryview(packed.vectors)
        starts = range(0, len(vectors), size)
        scored = [
            (
                sum(map(mul, query, vectors[start + SCALE_BYTES : start + size].cast("b")))
                * _scale(vectors, start),
                -int(seq),
            )
            for start, seq in zip(starts, packed.seqs.split(","), strict=True)
        ]
        self._best = nlargest(self._count, [*self._best, *scored])

    def seqs(self) -> list[int]:
        return [-seq for _score, seq in self._best]


def _scale(vectors: memoryview, start: int) -> float:
    scale: float = struct.unpack_from("<f", vectors, start)[0]
    return scale


def _unit(embedding: bytes) -> Sequence[float]:
    floats = decode_embedding(embedding)
    length = sqrt(sum(map(mul, floats, floats)))
    return array("d", [value / length for value in floats])


def _cosine(unit: Sequence[float], floats: Sequence[float]) -> float:
    product: float = sum(map(mul, unit, floats))
    return product / sqrt(sum(map(mul, floats, floats)))
