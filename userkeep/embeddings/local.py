"""Embeddings from a model in a folder, in a process of its own."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from threading import Lock

import numpy as np

from userkeep.domain.embedding import (
    EmbeddingFailed,
    EmbeddingFigures,
    EmbeddingModel,
    TextRejected,
    Vector,
)
from userkeep.embeddings.answers import nonsense, unit_vectors
from userkeep.embeddings.counter import MESSAGES, QUERY, EmbeddingCounter
from userkeep.embeddings.failures import Backoff, ModelFailed, Suspects
from userkeep.embeddings.model_folder import ModelFolder
from userkeep.embeddings.texts import prepare
from userkeep.embeddings.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

_TEXTS_AT_ONCE = 4
"""A query waits until the texts that are computed are ready: with all-MiniLM-L6-v2 on busy cores
140 ms at p95, and 490 ms with 8. More at once are not faster in one thread."""


class LocalEmbedder:
    """Embeddings from a model in a folder; see domain.embedding.Embedder.

    Its process starts with the first texts, or with `start`. It is started again if it ends.

    Args:
        threads: how many compute.
        timeout_s: how long a batch of messages may take.
    """

    is_local = True
    budget = None

    def __init__(
        self, folder: ModelFolder, *, batch_size: int, threads: int, timeout_s: float
    ) -> None:
        self._folder = folder
        self._batch_size = batch_size
        self._threads = threads
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._process: WorkerProcess | None = None
        self._backoff = Backoff()
        self._dimensions: int | None = None
        self._is_closed = False
        self._suspects = Suspects()
        self._counter = EmbeddingCounter()

    @cached_property
    def _fingerprint(self) -> str:
        return self._folder.fingerprint()

    @property
    def model(self) -> EmbeddingModel:
        return EmbeddingModel(self._folder.name, self._fingerprint, self._dimensions)

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def pid(self) -> int | None:
        """The number of its process; None while there is none."""
        process = self._process
        return None if process is None or process.ended else process.pid

    @property
    def figures(self) -> EmbeddingFigures:
        return self._counter.figures

    def start(self) -> None:
        with suppress(ModelFailed):  # it is logged, and tried again
            self._running()

    def embed_messages(self, texts: Sequence[str]) -> list[Vector]:
        prefixed = [prepare(self._folder.message_prefix, text) for text in texts]
        with self._counter.request(MESSAGES, len(texts)):
            return self._embed(prefixed, self._timeout_s, is_query=False)

    def embed_query(self, text: str, timeout_s: float) -> Vector:
        query = prepare(self._folder.query_prefix, text)
        with self._counter.request(QUERY, 1):
            return self._embed([query], timeout_s, is_query=True)[0]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _embed(self, texts: list[str], timeout_s: float, *, is_query: bool) -> list[Vector]:
        ends = time.monotonic() + timeout_s
        process = self._running()
        # Texts of a length together: shorter ones are filled up.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        futures = [
            process.submit([texts[place] for place in part], timeout_s, is_query=is_query)
            for part in _parts(order)
        ]
        found: list[Vector] = []
        try:
            for part, future in zip(_parts(order), futures, strict=True):
                content = future.result(max(ends - time.monotonic(), 0))
                found += self._vectors(content, len(part))
        except TimeoutError as error:
            raise self._late(process, texts, is_query=is_query) from error
        except ModelFailed as error:
            raise self._failure(error, process, texts, is_query=is_query) from error.__cause__
        self._backoff.succeed()
        vectors: list[Vector] = [()] * len(texts)
        for place, vector in zip(order, found, strict=True):
            vectors[place] = vector
        return vectors

    def _running(self) -> WorkerProcess:
        """Return the process; it is started if there is none.

        Raises:
            ModelFailed: it has ended too often, or cannot be started.
        """
        with self._lock:
            if self._is_closed:
                raise ModelFailed("The embedding model is closed.", "closed")
            if self._process is not None and self._process.ended is None:
                return self._process
            left_s = self._backoff.left_s()
            if left_s:
                raise ModelFailed("The embedding model failed, and is not asked.", "pause", left_s)
            try:
                self._process = WorkerProcess(self._folder, self._threads)
            except OSError as error:
                pause_s = self._backoff.fail()
                sentence = f"The embedding model's process cannot be started: {error.strerror}."
                logger.warning("%s Next try in %.0f s at the earliest.", sentence, pause_s)
                raise ModelFailed(sentence, "crash", pause_s) from error
            return self._process

    def _vectors(self, content: bytes, count: int) -> list[Vector]:
        numbers = np.frombuffer(content, dtype=np.float32)
        if not len(numbers) or len(numbers) % count:
            raise nonsense("no embeddings")
        vectors = unit_vectors([*numbers.reshape(count, -1)], self._dimensions)
        self._dimensions = len(vectors[0])
        return vectors

    def _late(self, process: WorkerProcess, texts: list[str], *, is_query: bool) -> EmbeddingFailed:
        """Return the error for an answer that is late; for messages, the process is ended."""
        late = ModelFailed("The embedding model did not answer in time.", "timeout")
        if is_query:
            return late  # it may be loading, or be busy
        process.kill(late)
        return self._failure(late, process, texts, is_query=False)

    def _failure(
        self, error: ModelFailed, process: WorkerProcess, texts: list[str], *, is_query: bool
    ) -> EmbeddingFailed:
        """Return the error for texts that were not embedded, after a pause has begun."""
        if error.kind in {"model", "invalid"}:
            # It has embedded another text when it was loaded.
            return TextRejected("The embedding model cannot embed these texts.")
        if error.kind == "closed":
            return error
        pause_s = self._pause_after(error, process)
        if not is_query and error.kind != "settings" and self._suspects.add(texts):
            return TextRejected("The embedding model's process ends with these texts.")
        error.retry_after_s = max(error.retry_after_s, pause_s)
        return error

    def _pause_after(self, error: ModelFailed, process: WorkerProcess) -> float:
        """Return how long to wait; several callers may have waited for the same process."""
        with self._lock:
            if process is not self._process:
                return self._backoff.left_s()
            self._process = None
            asked_s = error.retry_after_s if error.kind == "settings" else None
            pause_s = self._backoff.fail(asked_s)
        logger.warning("%s It starts again in %.0f s at the earliest.", error.detail, pause_s)
        return pause_s


def _parts(order: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(order), _TEXTS_AT_ONCE):
        yield order[begin : begin + _TEXTS_AT_ONCE]
