"""The arithmetic of vectors with numpy.

`vecdot` instead of `@`, which starts threads for matrices of this size: where several searches run
at once, or the machine is busy, these wait for each other for much longer than they compute.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from userkeep.domain.vectors.encoding import FLOAT_BYTES
from userkeep.domain.vectors.ranking import Nearest, PackedVectors

_ROWS_AT_ONCE = 256
"""Converted to float32, they fit in a processor's cache."""

Floats = NDArray[np.float64]


class NumpyVectorMath:
    """The arithmetic of vectors with numpy."""

    def nearest(self, query: bytes, count: int) -> Nearest:
        """Return what collects the nearest vectors."""
        return _NumpyNearest(_units([query])[0], count)

    def cosines(self, query: bytes, embeddings: Sequence[bytes]) -> list[float]:
        """Return the cosines with a query."""
        if not embeddings:
            return []
        cosines: list[float] = np.vecdot(_units(embeddings), _units([query])[0]).tolist()
        return cosines

    def select_diverse(
        self, cosines: Sequence[float], embeddings: Sequence[bytes], count: int, relevance: float
    ) -> list[int]:
        """Select by maximal marginal relevance."""
        if not embeddings:
            return []
        units, nearness = _units(embeddings), np.asarray(cosines)
        redundancy = np.zeros(len(units))
        is_left = np.ones(len(units), dtype=bool)
        selected: list[int] = []
        while len(selected) < min(count, len(units)):
            values = relevance * nearness - (1 - relevance) * redundancy
            best = int(np.argmax(np.where(is_left, values, -np.inf)))
            is_left[best] = False
            cosines_with_best = np.vecdot(units, units[best])
            redundancy = (
                np.maximum(redundancy, cosines_with_best) if selected else cosines_with_best
            )
            selected.append(best)
        return selected


class _NumpyNearest:
    def __init__(self, query: Floats, count: int) -> None:
        self._query = query.astype(np.float32)
        self._stored = np.dtype([("scale", "<f4"), ("values", "i1", (len(query),))])
        self._count = count
        self._scores = np.empty(0, dtype=np.float32)
        self._seqs = np.empty(0, dtype=np.int64)

    def add(self, packed: PackedVectors) -> None:
        stored = np.frombuffer(packed.vectors, dtype=self._stored)
        seqs = np.fromiter(map(int, packed.seqs.split(",")), np.int64, len(stored))
        scores = np.empty(len(stored), np.float32)
        for first in range(0, len(stored), _ROWS_AT_ONCE):
            some = stored["values"][first : first + _ROWS_AT_ONCE].astype(np.float32)
            scores[first : first + len(some)] = np.vecdot(some, self._query)
        scores *= stored["scale"]
        scores = np.concatenate([self._scores, scores])
        numbers = np.concatenate([self._seqs, seqs])
        if len(scores) > self._count:
            kept = np.argpartition(-scores, self._count - 1)[: self._count]
            scores, numbers = scores[kept], numbers[kept]
        self._scores, self._seqs = scores, numbers

    def seqs(self) -> list[int]:
        order = np.lexsort((self._seqs, -self._scores))
        found: list[int] = self._seqs[order].tolist()
        return found


def _units(embeddings: Sequence[bytes]) -> Floats:
    count, dimensions = len(embeddings), len(embeddings[0]) // FLOAT_BYTES
    values = np.frombuffer(b"".join(embeddings), dtype="<f4").reshape(count, dimensions)
    floats = values.astype(np.float64)
    units: Floats = floats / np.linalg.norm(floats, axis=1, keepdims=True)
    return units
