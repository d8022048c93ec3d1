"""The steps of a job, and what runs them.

A job is a generator of steps: it yields what is to be done next and is sent the result. So it is
written once, and runs in a thread that may block (`Runner`) as on an event loop (worker.runner).
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from userkeep.domain.embedding import Embedder, EmbeddingFailed, Vector
from userkeep.domain.ledger import Deleted
from userkeep.domain.transaction import Operation
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import Ledger

T = TypeVar("T")


class Read(NamedTuple):
    """A transaction that reads.

    Attributes:
        operation: what it does.
        is_bounded: whether it is short; any other runs beside the event loop, in a thread.
    """

    operation: Operation[Any]
    is_bounded: bool = True


class Write(NamedTuple):
    """A transaction that writes."""

    operation: Operation[Any]


class Sleep(NamedTuple):
    """A pause."""

    seconds: float


class Work(NamedTuple):
    """Work that blocks and takes long, such as reading files; on an event loop, in a thread."""

    function: Callable[[Engine], Any]


class PurgeFiles(NamedTuple):
    """A purge of the files, if it is possible now; the erasure records what prevents it."""


class Record(NamedTuple):
    """Entries of the deletion ledger, on the disk when the step ends."""

    deleted: Sequence[Deleted]


class Embed(NamedTuple):
    """The embeddings of texts, by the embedding model; it is sent the vectors."""

    texts: Sequence[str]


Step = Read | Write | Sleep | Work | PurgeFiles | Record | Embed
Steps = Generator[Step, Any, T]


def embed(embedder: Embedder | None, texts: Sequence[str]) -> list[Vector]:
    """Return the embeddings of texts.

    Raises:
        EmbeddingFailed: also if there is no embedding model.
    """
    if embedder is None:
        raise EmbeddingFailed("No embedding model is configured.")
    return embedder.embed_messages(texts)


class Runner:
    """Runs jobs in the calling thread.

    Args:
        engine: on which transactions run.
        purge: performs a purge.
        ledger: records deletions.
        embedder: makes embeddings; None if there is no embedding model.
    """

    def __init__(
        self,
        engine: Engine,
        purge: Callable[[], None],
        ledger: Ledger,
        embedder: Embedder | None = None,
    ) -> None:
        self._engine = engine
        self._purge = purge
        self._ledger = ledger
        self._embedder = embedder

    def run(self, steps: Steps[T]) -> T:
        """Run a job to its end and return its result.

        An error of a step is raised inside the job, which may handle it.
        """
        resume, value = steps.send, None
        while True:
            try:
                step = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume, value = steps.send, self._take(step)
            except Exception as error:
                resume, value = steps.throw, error

    def _take(self, step: Step) -> Any:
        match step:
            case Read(operation, _):
                return self._engine.read(operation)
            case Write(operation):
                return self._engine.write(operation)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Work(function):
                return function(self._engine)
            case PurgeFiles():
                return self._purge()
            case Record(deleted):
                return self._ledger.record(deleted)
            case Embed(texts):
                return embed(self._embedder, texts)
