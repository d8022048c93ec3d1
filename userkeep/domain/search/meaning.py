"""Ranking by meaning: the contract of what computes with vectors.

A message means what is asked for if its embedding is near to that of the query. How near is judged
within the searched scope, because cosines of one model are all great and of another all small:

    m = max(0, cosine - mean) / (greatest - mean)

As with words, the answer may be beside what was found, so a message gets the best of its own m and
a share of its neighbours'. Words and meaning then count the same:

    score = (words / best words + m) * weight

A message that has no embedding, as one that was just appended, is taken to mean what its words say:
its words count twice.

The sum of both was measured to be better than either, and than merging the two orders. No vector
is made of more than one message: a deleted one would live on in those of its neighbours.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from userkeep.domain.embedding import EmbeddingModel, RecordedModel, Vector
from userkeep.domain.search.ranking import DocPosition

if TYPE_CHECKING:
    # It imports logging, which reads the clock before the command line can check it.
    from concurrent.futures import Executor

T = TypeVar("T")

SearchMode = Literal["auto", "words", "meaning"]
"""What a search compares: words and meaning where there are embeddings, or one of them alone."""

MEANING_SHARES = ((1, 0.6), (2, 0.4))
"""By distance in the session: which share of a neighbour's m a message gets."""


HEADER_BYTES = 32
SCALE_UNIT = 2.0**-40

PackedVectors = bytes
"""Stored vectors of one session, in any order: a database sends them so in half the time.

Each is 1,000,000,000,000,000 + seq as decimal digits, then the same with the scale in SCALE_UNIT,
together HEADER_BYTES; then its signed bytes.
"""


class Shares(NamedTuple):
    """What words and meaning contribute to a message, before its weight.

    Attributes:
        words: from 0 to 1: the share of the best score by words in the scope; twice that for a
            message without an embedding.
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

    def add(self, starts: Sequence[DocPosition], packed: Sequence[PackedVectors]) -> None:
        """Add messages of the scope.

        Args:
            starts: the position of the session of each of `packed`.
            packed: their vectors.

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


DegradedReason = Literal[
    "not_configured",
    "nothing_embedded",
    "nothing_to_embed",
    "do_not_embed",
    "embedding_rejected",
    "embedding_unavailable",
    "model_replaced",
]
"""Why a search was by words alone."""


class Degraded(msgspec.Struct, frozen=True):
    """Why a search that could have been by meaning was by words alone.

    Attributes:
        reason: for programs.
        detail: a sentence.
    """

    reason: DegradedReason
    detail: str


class CannotEmbed(Exception):
    """A query has no embedding, so the search is by words alone.

    Attributes:
        degraded: why.
    """

    def __init__(self, degraded: Degraded) -> None:
        super().__init__(degraded.detail)
        self.degraded = degraded


class ComputesOutside(Protocol):
    """A transaction; see `domain.transaction`."""

    def compute_outside(
        self, function: Callable[..., T], *arguments: Hashable, threads: "Executor | None" = None
    ) -> T: ...


class Meaning(Protocol):
    """What a search by meaning needs, where an embedding model is configured."""

    @property
    def model(self) -> EmbeddingModel:
        """The configured model."""
        ...

    def query_vector(
        self, tx: ComputesOutside, project_id: int, text: str, model: RecordedModel
    ) -> Vector:
        """Return the embedding of a query, computed outside of the transaction.

        Args:
            project_id: the project whose deletions clear what is remembered of it.
            text: what is embedded.
            model: the one whose vectors it is compared with.

        Raises:
            CannotEmbed: there is none, or not in time.
        """
        ...

    def scorer(self, query: Vector) -> MeaningScorer:
        """Return the scorer for the embedding of a query."""
        ...

    def forget(self, project_id: int) -> None:
        """Clear what is remembered of the queries of a project, because something was deleted."""
        ...

    def close(self) -> None:
        """End its threads."""
        ...
