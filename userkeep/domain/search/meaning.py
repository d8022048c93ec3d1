"""Ranking by meaning: the contract of what computes with vectors.

A message means what is asked for if its embedding is near to that of the query. How near is judged
within the searched scope, because cosines of one model are all great and of another all small:

    m = max(0, cosine - mean) / (greatest - mean)

As with words, the answer may be beside what was found, so a message gets the best of its own m and
a share of its neighbours'. Words and meaning then count the same:

    score = (words / best words + m) * weight

The sum of both was measured to be better than either, and than merging the two orders. No vector
is made of more than one message: a deleted one would live on in those of its neighbours.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from userkeep.domain.embedding import Vector
from userkeep.domain.search.ranking import DocPosition

SearchMode = Literal["auto", "words", "meaning"]
"""What a search compares: words and meaning where there are embeddings, or one of them alone."""

MEANING_SHARES = ((1, 0.6), (2, 0.4))
"""By distance in the session: which share of a neighbour's m a message gets."""


class Shares(NamedTuple):
    """What words and meaning contribute to a message, before its weight.

    Attributes:
        words: from 0 to 1: the share of the best score by words in the scope.
        meaning: from 0 to 1.
        offset: where the message is that the meaning is of: 0 itself, -2 the second one before it.
    """

    words: float
    meaning: float
    offset: int


class Ranked(Protocol):
    """Scored positions of messages."""

    def __len__(self) -> int:
        """Return how many positions have a score. There may be no message at some of them."""
        ...

    def best(self, count: int) -> list[tuple[DocPosition, float]]:
        """Return the positions with the best scores, best first."""
        ...

    def ranked(self) -> Iterator[tuple[DocPosition, float]]:
        """Iterate over all positions, best score first."""
        ...


class RankedByMeaning(Ranked, Protocol):
    """Positions with scores by words and meaning."""

    def shares(self, position: DocPosition) -> Shares:
        """Return what words and meaning contribute to the score of a position."""
        ...


class MeaningScorer(Protocol):
    """Scores the messages of a scope by their embeddings."""

    def add(
        self,
        positions: Sequence[DocPosition],
        scales: Sequence[float],
        vectors: Sequence[bytes],
    ) -> None:
        """Add messages of the scope: whole sessions, or their parts in the order of `seq`.

        Raises:
            ValueError: the vectors are not as long as the query's.
        """
        ...

    def with_words(
        self,
        words: Mapping[DocPosition, float],
        *,
        allowed: Collection[DocPosition] | None = None,
        excluded: Collection[DocPosition] = (),
        keeps_neighbours: bool = True,
    ) -> RankedByMeaning:
        """Return the positions with their scores by words and meaning.

        Args:
            words: the scores by words.
            allowed: if given, no other positions are among the scored ones.
            excluded: these are not among them.
            keeps_neighbours: whether a message gets a share of the meaning of its neighbours.
        """
        ...


class MakeMeaningScorer(Protocol):
    """Makes a scorer for a query."""

    def __call__(self, query: Vector) -> MeaningScorer:
        """Return the scorer of a query's embedding."""
        ...
