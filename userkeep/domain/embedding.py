"""Embeddings: the model that makes them, and what can go wrong with it."""

from array import array
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol

import msgspec

from userkeep.domain.errors import UserkeepError
from userkeep.domain.values.times import Instant

Vector = Sequence[float]
"""An embedding: as many numbers as the model has dimensions."""

DoNotEmbed = Annotated[
    bool, msgspec.Meta(description="Whether no embedding model is given any text of it.")
]
"""Of a project, a user or a session."""

LONGEST_EMBEDDED_TEXT = 2_000
"""In characters. What follows in a text is not embedded: the first 256 tokens find it as well."""


_LARGEST = 127


class Quantized(NamedTuple):
    """A vector as it is stored: `scale` times each of the signed bytes of `data`."""

    scale: float
    data: bytes


def quantize(vector: Vector) -> Quantized:
    """Return a vector as it is stored, in a byte for each dimension.

    The scale has the precision of four bytes, so that all engines return the same.
    """
    largest = max(abs(value) for value in vector)
    [scale] = array("f", [largest / _LARGEST])
    if not scale:
        return Quantized(0.0, bytes(len(vector)))
    return Quantized(scale, array("b", [round(value / scale) for value in vector]).tobytes())


def restore(quantized: Quantized) -> list[float]:
    """Return the vector that `quantize` was given, as exactly as it is stored."""
    return [quantized.scale * value for value in array("b", quantized.data)]


class EmbeddingFailed(UserkeepError):
    """The embedding model did not answer.

    Attributes:
        retry_after_s: when it is worth to ask again.
    """

    code = "embedding_failed"
    retry_after_s: float = 1.0


class TextRejected(EmbeddingFailed):
    """The embedding model rejects this text. It is not worth to ask again."""


class EmbeddingFigures(msgspec.Struct):
    """What an embedder has done since its process started.

    Attributes:
        requests: how often it was asked for embeddings of `messages`, and of a `query`.
        texts: of how many texts it made the embedding.
        busy_s: how long that took.
        failures: how often it failed, by the reason.
        tokens: how many tokens were sent to a provider.
    """

    requests: dict[str, int]
    texts: dict[str, int]
    busy_s: dict[str, float]
    failures: dict[str, int]
    tokens: int = 0


class EmbeddingModel(msgspec.Struct, frozen=True):
    """A model, as it is recorded: vectors of models with the same fingerprint can be compared.

    Attributes:
        name: as its provider or its folder names it.
        fingerprint: a hash of all that changes its vectors: name, weights where they are known,
            requested dimensions, prefixes.
        dimensions: the length of its vectors; None until it has made one.
    """

    name: str
    fingerprint: str
    dimensions: int | None = None


class ModelState(StrEnum):
    """The state of a recorded model.

    `current`: searches use its vectors. `building`: it replaces the current one when all messages
    have its vectors. `former`: its vectors are being deleted.
    """

    CURRENT = "current"
    BUILDING = "building"
    FORMER = "former"


class RecordedModel(msgspec.Struct, frozen=True):
    """A model whose vectors the database has.

    Attributes:
        model_id: its number: 1, 2 …
        name, fingerprint, dimensions: see EmbeddingModel.
        source: JSON, by which it can be asked for queries while it is being replaced.
        state: see ModelState.
        created_at: when it was configured first.
        lease_expires_at: until when a process embeds with it.
    """

    model_id: int
    name: str
    fingerprint: str
    dimensions: int | None
    source: str | None
    state: str
    created_at: Instant
    lease_expires_at: Instant | None


class SpentTokens(NamedTuple):
    """Tokens that were sent to a model.

    Attributes:
        day: on which, in days since 1970-01-01 (UTC).
    """

    day: int
    tokens: int


class TokenBudget(Protocol):
    """How many tokens may be sent to a model in a day, by all processes together."""

    @property
    def left(self) -> int:
        """How many may be sent today, as far as this process knows."""
        ...

    def unrecorded(self) -> SpentTokens:
        """Return what this process has sent today and has not recorded yet."""
        ...

    def share(self, recorded: SpentTokens, sum_of_day: int) -> None:
        """Count what other processes have sent.

        Args:
            recorded: what this process has just recorded.
            sum_of_day: what all have recorded of that day, this included.
        """
        ...


class Embedder(Protocol):
    """Makes embeddings of texts. Its methods block, and may be called in several threads.

    Attributes:
        model: what it uses.
        is_local: whether the texts stay on this machine.
        batch_size: how many texts it takes at once.
        figures: what it has done.
        budget: how many tokens may be sent; None if there is no limit.
    """

    @property
    def model(self) -> EmbeddingModel: ...
    @property
    def is_local(self) -> bool: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def figures(self) -> EmbeddingFigures: ...
    @property
    def budget(self) -> TokenBudget | None: ...

    def start(self) -> None:
        """Begin what takes long, such as loading a model, without waiting for it."""
        ...

    def embed_messages(self, texts: Sequence[str]) -> list[Vector]:
        """Return the embeddings of texts that are stored, in their order; of unit length.

        Args:
            texts: up to `batch_size`, each with at most LONGEST_EMBEDDED_TEXT characters.

        Raises:
            TextRejected: of one text alone. EmbeddingFailed: of all; try again later.
        """
        ...

    def embed_query(self, text: str, timeout_s: float) -> Vector:
        """Return the embedding of a query, before others that wait; of unit length.

        Raises:
            EmbeddingFailed: also if it takes longer than `timeout_s`.
        """
        ...

    def close(self) -> None:
        """End its process and its connections."""
        ...
