"""Embeddings of queries: within a time limit, remembered for a while, not asked for in vain."""

from array import array
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from os import urandom
from threading import Lock
from time import monotonic
from typing import NamedTuple

from userkeep.domain.embedding import (
    LONGEST_EMBEDDED_TEXT,
    Embedder,
    EmbeddingFailed,
    EmbeddingModel,
    RecordedModel,
    TextRejected,
    Vector,
)
from userkeep.domain.search.meaning import (
    CannotEmbed,
    ComputesOutside,
    Degraded,
    DegradedReason,
    MeaningScorer,
)
from userkeep.domain.vectors.meaning import VectorScorer

_THREADS = 8
_MOST_REMEMBERED = 1_000
_REMEMBERED_FOR_S = 300.0
_FAILURES_BEFORE_PAUSE = 2
_PAUSE_S = 3.0
_SHORTEST_TIME_S = 0.005

_SENTENCES: dict[DegradedReason, str] = {
    "embedding_rejected": "The embedding model rejects the text of the query.",
    "embedding_unavailable": "The embedding model did not answer correctly in time.",
    "model_replaced": "The embedding model is being replaced, and the former one cannot be asked.",
}


@dataclass(frozen=True)
class _Question:
    """A text to embed.

    It is the same as an earlier one of the same text, whenever it was asked: what is recorded of
    the model changes while others embed messages with it.
    """

    text: str
    fingerprint: str
    model: RecordedModel = field(compare=False)
    asked_at_s: float = field(compare=False)
    clearings: int = field(compare=False)


class _Answer(NamedTuple):
    vector: Vector
    clearings: int


class QueryEmbeddings:
    """Makes embeddings of queries; see `domain.search.meaning.Meaning`.

    Args:
        embedder: the configured model.
        timeout_s: how long an embedding may take, with its wait for a thread.
        open_former: returns the embedder of a model that is being replaced, or None.
    """

    def __init__(
        self,
        embedder: Embedder,
        timeout_s: float,
        open_former: Callable[[RecordedModel], Embedder | None],
    ) -> None:
        self._embedder = embedder
        self._timeout_s = timeout_s
        self._open_former = open_former
        self._former: tuple[str, Embedder | None] | None = None
        self._remembered = _RememberedVectors()
        self._breaker = _Breaker()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="userkeep-query")
        self._lock = Lock()

    @property
    def model(self) -> EmbeddingModel:
        return self._embedder.model

    def query_vector(
        self, tx: ComputesOutside, project_id: int, text: str, model: RecordedModel
    ) -> Vector:
        known = self._remembered.get(project_id, text, model)
        if known is not None:
            return known
        question = _Question(
            text[:LONGEST_EMBEDDED_TEXT],
            model.fingerprint,
            model,
            monotonic(),
            self._remembered.clearings,
        )
        result = tx.compute_outside(self._embed, question, threads=self._threads)
        if isinstance(result, Degraded):
            raise CannotEmbed(result)
        # Only here, where the transaction has found the user and the session again.
        self._remembered.add(project_id, text, model, result)
        return result.vector

    def scorer(self, query: Vector) -> MeaningScorer:
        return VectorScorer(query)

    def forget(self, project_id: int) -> None:
        self._remembered.clear(project_id)

    def close(self) -> None:
        """End the threads; the configured model is not closed."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._close_former()

    def _embed(self, question: _Question) -> _Answer | Degraded:
        embedder = self._embedder_of(question.model)
        if embedder is None:
            return _degraded("model_replaced")
        left_s = question.asked_at_s + self._timeout_s - monotonic()
        if left_s < _SHORTEST_TIME_S or not self._breaker.may_ask():
            return _degraded("embedding_unavailable")
        try:
            vector = embedder.embed_query(question.text, left_s)
        except TextRejected:
            self._breaker.succeed()
            return _degraded("embedding_rejected")
        except EmbeddingFailed:
            self._breaker.fail()
            return _degraded("embedding_unavailable")
        except BaseException:
            self._breaker.fail()
            raise
        if question.model.dimensions not in {None, len(vector)}:
            self._breaker.fail()
            return _degraded("embedding_unavailable")
        self._breaker.succeed()
        return _Answer(array("f", vector), question.clearings)

    def _embedder_of(self, model: RecordedModel) -> Embedder | None:
        if self._embedder.model.fingerprint == model.fingerprint:
            return self._embedder
        with self._lock:
            if self._former is None or self._former[0] != model.fingerprint:
                self._close_former()
                former = self._open_former(model)
                if former is not None and former.model.fingerprint != model.fingerprint:
                    former.close()
                    former = None
                self._former = model.fingerprint, former
            return self._former[1]

    def _close_former(self) -> None:
        if self._former is not None and self._former[1] is not None:
            self._former[1].close()


def _degraded(reason: DegradedReason) -> Degraded:
    return Degraded(reason, _SENTENCES[reason])


class _RememberedVectors:
    """The embeddings of the last queries, in memory alone: by a hash, not by their texts.

    They are personal data: a deletion in their project clears them. One that was asked for before
    that is not added after it.

    Attributes:
        clearings: how often something was cleared.
    """

    def __init__(self) -> None:
        self.clearings = 0
        self._key = urandom(32)
        self._lock = Lock()
        self._vectors: OrderedDict[tuple[int, bytes], tuple[float, Vector]] = OrderedDict()

    def get(self, project_id: int, text: str, model: RecordedModel) -> Vector | None:
        with self._lock:
            self._drop_old()
            found = self._vectors.get((project_id, self._hash(text, model)))
            return None if found is None else found[1]

    def add(self, project_id: int, text: str, model: RecordedModel, answer: _Answer) -> None:
        with self._lock:
            if answer.clearings != self.clearings:
                return
            key = project_id, self._hash(text, model)
            self._vectors[key] = monotonic() + _REMEMBERED_FOR_S, answer.vector
            self._vectors.move_to_end(key)
            while len(self._vectors) > _MOST_REMEMBERED:
                self._vectors.popitem(last=False)

    def clear(self, project_id: int) -> None:
        with self._lock:
            self.clearings += 1
            for key in [each for each in self._vectors if each[0] == project_id]:
                del self._vectors[key]

    def _drop_old(self) -> None:
        """Drop what is too old: the oldest are first."""
        now_s = monotonic()
        while self._vectors:
            key, (until_s, _vector) = next(iter(self._vectors.items()))
            if until_s > now_s:
                break
            del self._vectors[key]

    def _hash(self, text: str, model: RecordedModel) -> bytes:
        hashed = blake2b(model.fingerprint.encode(), digest_size=32, key=self._key)
        hashed.update(b"\0" + text.encode("utf-8", "surrogatepass"))
        return hashed.digest()


class _Breaker:
    """After some failures in a row, nothing is asked for a while, and then one thing at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._pause_ends_s = 0.0
        self._is_trying = False

    def may_ask(self) -> bool:
        """Return whether the model may be asked now; then `succeed` or `fail` must follow."""
        with self._lock:
            if self._failures < _FAILURES_BEFORE_PAUSE:
                return True
            if self._is_trying or monotonic() < self._pause_ends_s:
                return False
            self._is_trying = True
            return True

    def succeed(self) -> None:
        with self._lock:
            self._failures = 0
            self._is_trying = False

    def fail(self) -> None:
        with self._lock:
            self._failures += 1
            self._pause_ends_s = monotonic() + _PAUSE_S
            self._is_trying = False
