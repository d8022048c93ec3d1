"""What a search of documents needs of the arithmetic of vectors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class StoredVector(NamedTuple):
    """A vector of a document.

    Attributes:
        seq: of its document.
        vector: from `quantize_embedding`.
    """

    seq: int
    vector: bytes


class PackedVectors(NamedTuple):
    """Vectors as a search reads them: many in a row, which takes half the time of a row for each.

    Attributes:
        seqs: of their documents, as decimal numbers with commas between them.
        vectors: in the same order, one after the other, each from `quantize_embedding`.
        vector_count: how many.
        last_seq: the greatest of `seqs`.
    """

    seqs: str
    vectors: bytes
    vector_count: int
    last_seq: int


class Nearest(Protocol):
    """Collects the vectors that are nearest to a query, from all that it is given."""

    def add(self, packed: PackedVectors) -> None:
        """Compare the next vectors."""
        ...

    def seqs(self) -> list[int]:
        """Return the documents of the nearest ones, the nearest first."""
        ...


class VectorMath(Protocol):
    """The arithmetic of vectors. Embeddings are float32, as from `encode_embedding`."""

    def nearest(self, query: bytes, count: int) -> Nearest:
        """Return what collects the `count` vectors that are nearest to a query."""
        ...

    def cosines(self, query: bytes, embeddings: Sequence[bytes]) -> list[float]:
        """Return the cosine of the angle between a query and each embedding, exactly."""
        ...

    def select_diverse(
        self, cosines: Sequence[float], embeddings: Sequence[bytes], count: int, relevance: float
    ) -> list[int]:
        """Select by maximal marginal relevance.

        Args:
            cosines: of each embedding with the query.
            embeddings: to select from.
            count: how many.
            relevance: from 0 (only different from those selected) to 1 (only near the query).

        Returns:
            The positions of the selected ones, in the order of their selection.
        """
        ...


MakeVectorMath = Callable[[], VectorMath]
"""Returns the arithmetic; called for each search, because numpy is loaded by the first one."""
