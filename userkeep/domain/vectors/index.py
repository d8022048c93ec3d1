"""Approximate indexes of embeddings, where an engine has them."""

from typing import NamedTuple, Protocol

LEAST_INDEXED = 1_000
"""Collections with fewer embeddings are not looked up in an index."""


class VectorIndex(Protocol):
    """What an engine knows about which embeddings are near, in one transaction."""

    @property
    def is_used(self) -> bool:
        """Whether there are indexes, of any project; also such that are not complete."""
        ...

    def nearest(self, collection: int, query: bytes, count: int) -> list[int] | None:
        """Return which documents of a collection are nearest to a query, perhaps not all of them.

        Args:
            collection: its number.
            query: an embedding, as float32.
            count: how many.

        Returns:
            Their numbers, in any order; None if there is no index, or if it has fewer: then all are
            to be compared.
        """
        ...


class NoVectorIndex:
    """An engine without such indexes; see VectorIndex."""

    is_used = False

    def nearest(self, collection: int, query: bytes, count: int) -> None:
        """Return None."""
        del collection, query, count


class LargeCollection(NamedTuple):
    """A collection that may need an index.

    Attributes:
        number: of the collection, within its project.
        embedded_count: how many embeddings it has.
    """

    project_id: int
    number: int
    dimensions: int
    embedded_count: int
