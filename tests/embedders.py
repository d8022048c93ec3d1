"""A made-up embedder for tests, in this process: deterministic, fast, and it fails on request."""

import hashlib
import math
from collections.abc import Callable, Sequence

from userkeep.domain.embedding import EmbeddingFailed, EmbeddingFigures, EmbeddingModel, Vector
from userkeep.instance import Instance
from userkeep.jobs.embedding import EmbeddingJob
from userkeep.jobs.steps import Runner

DIMENSIONS = 48


def encode(text: str, name: str = "one", dimensions: int = DIMENSIONS) -> Vector:
    """Return a vector of unit length that only this text has."""
    digest = hashlib.shake_128(f"{name} {text}".encode()).digest(dimensions)
    values = [byte - 127.5 for byte in digest]
    length = math.hypot(*values)
    return [value / length for value in values]


class MadeUpEmbedder:
    """An embedder.

    Attributes:
        texts: what it was given.
        before: called with the texts of each batch; it may raise.
    """

    is_local = True
    budget = None

    def __init__(
        self,
        name: str = "one",
        batch_size: int = 8,
        encoder: Callable[[str], Vector] | None = None,
    ) -> None:
        self._encode = encoder or (lambda text: encode(text, name))
        self.batch_size = batch_size
        self.model = EmbeddingModel(name, f"fingerprint of {name}")
        self.figures = EmbeddingFigures({}, {}, {}, {})
        self.texts: list[str] = []
        self.before: Callable[[Sequence[str]], object] = lambda _: None
        self.change: Callable[[list[Vector]], list[Vector]] = lambda vectors: vectors

    def start(self) -> None:
        pass

    def embed_messages(self, texts: Sequence[str]) -> list[Vector]:
        assert 0 < len(texts) <= self.batch_size
        self.before(texts)
        self.texts += texts
        return self.change([self._encode(text) for text in texts])

    def embed_query(self, text: str, timeout_s: float) -> Vector:  # noqa: ARG002
        return self._encode(text)

    def close(self) -> None:
        pass


def embed_all(instance: Instance, embedder: MadeUpEmbedder | None = None) -> None:
    """Embed all messages of an instance, in a process that then ends."""
    embedder = embedder or MadeUpEmbedder()
    job = EmbeddingJob(instance.scope.rules, embedder, is_shared=True)
    runner = Runner(instance.engine, lambda: None, instance.ledger.file, embedder)
    assert runner.run(job.steps())
    runner.run(job.release())


def failing(*errors: EmbeddingFailed) -> Callable[[Sequence[str]], None]:
    """Return a `before` that raises these errors, one for each batch, and then none."""
    left = list(errors)

    def fail(_: Sequence[str]) -> None:
        if left:
            raise left.pop(0)

    return fail
