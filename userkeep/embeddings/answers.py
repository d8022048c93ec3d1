"""The response of an OpenAI-compatible endpoint, and what is checked in it."""

import base64
import binascii
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from userkeep.domain.embedding import Vector
from userkeep.embeddings.failures import ModelFailed

_PAUSE_AFTER_NONSENSE_S = 60.0


class _Embedding(msgspec.Struct):
    index: int
    embedding: list[float] | str


class _Answer(msgspec.Struct):
    data: list[_Embedding]
    usage: Any = None


_decoder = msgspec.json.Decoder(_Answer)


class Answer(msgspec.Struct, frozen=True):
    """The embeddings of texts.

    Attributes:
        vectors: in the order of the texts, of unit length.
        tokens: how many the endpoint says that it has counted; None if it does not say.
    """

    vectors: list[Vector]
    tokens: int | None


def nonsense(problem: str) -> ModelFailed:
    """Return the error for a model whose answer cannot be used."""
    return ModelFailed(
        f"The embedding model returned {problem}.", "invalid", _PAUSE_AFTER_NONSENSE_S
    )


def parse_answer(body: bytes, count: int, dimensions: int | None) -> Answer:
    """Parse and check the body of a response.

    Args:
        count: of how many texts it must have the embedding.
        dimensions: how long each must be; None: as long as the others.

    Raises:
        ModelFailed: it is no such response, or has embeddings that cannot be used.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise nonsense("something else than embeddings in JSON") from error
    by_index = {each.index: each.embedding for each in answer.data}
    if len(answer.data) != count or by_index.keys() != set(range(count)):
        raise nonsense(f"{len(answer.data)} embeddings for {count} texts, or wrong indexes")
    rows = [_numbers(by_index[index]) for index in range(count)]
    return Answer(unit_vectors(rows, dimensions), _tokens(answer.usage))


def unit_vectors(rows: Sequence[Any], dimensions: int | None) -> list[Vector]:
    """Return vectors of unit length.

    Args:
        rows: at least one vector.
        dimensions: how long each must be; None: as long as the others.

    Raises:
        ModelFailed: a vector has another length, a number that is not finite, or only zeros.
    """
    lengths = {len(each) for each in rows}
    expected = dimensions or max(lengths)
    if lengths != {expected} or not expected:
        found = min(lengths - {expected}, default=0)
        raise nonsense(f"an embedding of {found} dimensions instead of {expected}")
    matrix = np.asarray(rows, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    if not (np.isfinite(norms).all() and norms.all()):
        raise nonsense("an embedding of zeros, or with a number that is not finite")
    units = (matrix / norms[:, np.newaxis]).astype(np.float32)
    return [array("f", each.tobytes()) for each in units]


def _numbers(embedding: list[float] | str) -> Any:
    if not isinstance(embedding, str):
        return embedding
    try:
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError) as error:
        raise nonsense("an embedding that is not base64 of 32-bit numbers") from error


def _tokens(usage: Any) -> int | None:
    """Return the tokens of `usage`; None where it has none, or 0 as some servers say always."""
    if not isinstance(usage, dict):
        return None
    counted = usage.get("total_tokens") or usage.get("prompt_tokens")
    return counted if type(counted) is int and counted > 0 else None
