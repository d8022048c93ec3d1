"""Embeddings of what documents are searched with, in threads of their own."""

from concurrent.futures import ThreadPoolExecutor

from userkeep.domain.embedding import (
    LONGEST_EMBEDDED_TEXT,
    Embedder,
    EmbeddingFailed,
    EmbeddingModel,
    Vector,
)

_TIMEOUT_S = 0.5
"""How long the embedding of a query may take."""

_THREADS = 8


class EmbedderOfQueries:
    """Makes embeddings of queries; see `domain.embedding.QueryEmbedder`."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="userkeep-query")

    @property
    def model(self) -> EmbeddingModel:
        """The configured model."""
        return self._embedder.model

    def embed(self, text: str) -> Vector | EmbeddingFailed:
        """Return the embedding of a query, or why there is none."""
        try:
            return self._embedder.embed_query(text[:LONGEST_EMBEDDED_TEXT], _TIMEOUT_S)
        except EmbeddingFailed as error:
            return error

    def close(self) -> None:
        """End the threads; what waits is not embedded."""
        self.threads.shutdown(wait=False, cancel_futures=True)
