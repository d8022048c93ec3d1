"""Embed what is not embedded yet. The work list is in the database; see services.embeddings."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from time import monotonic
from typing import Any, NamedTuple

from userkeep.domain.embedding import (
    Embedder,
    EmbeddingFailed,
    Quantized,
    RecordedModel,
    TextRejected,
    Vector,
    quantize,
)
from userkeep.domain.errors import Unavailable
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Operation, scoped
from userkeep.domain.values.times import Instant
from userkeep.jobs.embedding_budget import SharedBudget
from userkeep.jobs.steps import Embed, Read, Sleep, Steps, Write
from userkeep.services import embeddings
from userkeep.services.embeddings import SessionToEmbed, Task

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 60.0
_BUSY_PAUSE_S = 0.5
_RENEW_AFTER_S = 10.0
_CONVERTED_AT_ONCE = 8
_HARMLESS = "Hello."
"""If even this text is rejected, something else is wrong than the texts of messages."""


class Embedded(NamedTuple):
    """What a process has done.

    Attributes:
        messages: how many messages got vectors.
        rejected: how many texts the model rejects; they get none.
        problem: why the last batch failed; None if it succeeded.
    """

    messages: int = 0
    rejected: int = 0
    problem: str | None = None


def _no_progress(_: Embedded) -> None:
    pass


class EmbeddingJob:
    """Embeds messages, in the one process that holds the lease of the model.

    Args:
        rules: see Rules.
        embedder: makes the embeddings. None for an instance without a model: vectors are only
            deleted, where a user, a session or a project is not to be embedded any more.
        is_shared: whether other processes use the database.
        progress: called after each batch.

    Attributes:
        done: what this process has done.
    """

    def __init__(
        self,
        rules: Rules,
        embedder: Embedder | None,
        *,
        is_shared: bool,
        progress: Callable[[Embedded], None] = _no_progress,
    ) -> None:
        self.done = Embedded()
        self._rules = rules
        self._embedder = embedder
        self._progress = progress
        self._has_released = is_shared
        self._is_configured = False
        self._lease_at: Instant | None = None
        self._renewed_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._turn = 0
        self._most_texts = 1 if embedder is None else embedder.batch_size
        self._is_replaced = False
        self._budget = SharedBudget(embedder)

    def steps(self) -> Steps[bool]:
        """Embed until nothing is left to do.

        Returns:
            Whether nothing is left; False if another process does the work.
        """
        if self._embedder is None:
            return (yield from self._delete_only())
        if not self._is_configured:
            yield Write(self._configure(self._embedder))
            self._is_configured = True
        while True:
            yield from self._budget.steps()
            task: Task = yield Read(self._next_task(self._embedder), is_bounded=False)
            if task.model is None:
                self._warn_of_replacement()
                return False
            if task.is_done:
                return True
            if not (yield from self._renew(task.model)):
                return False
            yield from self._work(task, task.model)

    def _work(self, task: Task, model: RecordedModel) -> Steps[None]:
        if not task.is_swept:
            yield from self._write(partial(embeddings.sweep, rules=self._rules))
        elif not task.sessions:
            yield Write(partial(embeddings.finish, model=model))
        if task.sessions:
            yield from self._attempt(model, task.sessions)

    def release(self) -> Steps[None]:
        """Let another process continue immediately, because this one stops."""
        yield from self._budget.steps()
        if self._lease_at is not None:
            yield Write(partial(embeddings.release_lease, held_until_at=self._lease_at))

    def _configure(self, embedder: Embedder) -> Operation[RecordedModel]:
        model, source = embedder.model, self._rules.embedding_source
        return partial(embeddings.configure, model=model, source=source)

    def _next_task(self, embedder: Embedder) -> Operation[Task]:
        self._turn += 1
        self._most_texts = max(1, min(self._most_texts, embedder.batch_size))
        return partial(
            embeddings.next_task,
            rules=self._rules,
            fingerprint=embedder.model.fingerprint,
            most_texts=self._most_texts,
            turn=self._turn,
        )

    def _delete_only(self) -> Steps[bool]:
        while True:
            find = partial(embeddings.deletion_task, rules=self._rules)
            task: Task = yield Read(find, is_bounded=False)
            if task.is_done:
                return True
            if not task.is_swept:
                yield from self._write(partial(embeddings.sweep, rules=self._rules))
            for session in task.sessions:
                yield from self._delete(session)

    def _renew(self, model: RecordedModel) -> Steps[bool]:
        if not self._has_released:
            yield Write(embeddings.release_lease)
            self._has_released = True
        if self._lease_at is not None and monotonic() - self._renewed_at_s < _RENEW_AFTER_S:
            return True
        self._renewed_at_s = monotonic()
        acquire = partial(
            embeddings.acquire_lease, model_id=model.model_id, held_until_at=self._lease_at
        )
        self._lease_at = yield Write(acquire)
        return self._lease_at is not None

    def _attempt(self, model: RecordedModel, sessions: Sequence[SessionToEmbed]) -> Steps[None]:
        """Embed a batch, or wait until it is worth to try again."""
        to_delete = [each for each in sessions if each.must_delete]
        if to_delete:
            for session in to_delete:
                yield from self._delete(session)
            return  # that may take long: texts are sent only right after they were read
        try:
            vectors = yield from self._vectors(model, [t for s in sessions for _, t in s.texts])
        except EmbeddingFailed as error:
            self._report(self.done._replace(problem=error.detail))
            yield Sleep(min(max(error.retry_after_s, self._pause_s), _LAST_PAUSE_S))
            self._pause_s = min(self._pause_s * 2, _LAST_PAUSE_S)
            return
        if vectors is None:
            return
        self._pause_s = _FIRST_PAUSE_S
        self._most_texts = max(1, self._most_texts) * 2
        stored = yield from self._store(model, sessions, vectors)
        rejected = self.done.rejected + vectors.count(None)
        self._report(Embedded(self.done.messages + stored, rejected))

    def _vectors(
        self, model: RecordedModel, texts: Sequence[str]
    ) -> Steps[list[Quantized | None] | None]:
        """Return the vectors of texts; None in place of a vector for a text that is rejected.

        If several texts are rejected together, return None. Half of them are read again, and not
        sent from here, because their user may have been deleted or left out since they were read.

        Raises:
            EmbeddingFailed: the model does not respond, or not with what it should.
        """
        if not texts:
            return []
        try:
            vectors: list[Vector] = yield Embed(texts)
        except TextRejected:
            self._most_texts = len(texts) // 2
            if len(texts) > 1:
                return None
            yield from self._check_is_working()
            return [None]
        _check(vectors, len(texts), model)
        found: list[Quantized | None] = []
        for first in range(0, len(vectors), _CONVERTED_AT_ONCE):
            found += [quantize(each) for each in vectors[first : first + _CONVERTED_AT_ONCE]]
            yield Sleep(0)  # an event loop has other things to do
        return found

    def _check_is_working(self) -> Steps[None]:
        try:
            yield Embed([_HARMLESS])
        except TextRejected as error:
            raise EmbeddingFailed(
                f"The embedding model rejects every text: {error.detail}"
            ) from error

    def _store(
        self,
        model: RecordedModel,
        sessions: Sequence[SessionToEmbed],
        vectors: Sequence[Quantized | None],
    ) -> Steps[int]:
        of_texts = iter(vectors)
        pairs = [
            (session, {seq: found for seq, _ in session.texts if (found := next(of_texts))})
            for session in sessions
        ]
        if not pairs:
            return 0
        store = partial(embeddings.store, rules=self._rules, model=model, vectors=pairs)
        return (yield from self._write(store)) or 0

    def _delete(self, session: SessionToEmbed) -> Steps[None]:
        scope = Scope(session.project_id, self._rules)
        while not (yield Write(scoped(scope, embeddings.delete_batch, session))):
            session = session._replace(from_seq=embeddings.DELETE_VECTORS)

    def _write(self, operation: Operation[Any]) -> Steps[Any]:
        """Run a transaction that may have to wait for others; None if it could not run now."""
        try:
            return (yield Write(operation))
        except Unavailable:
            yield Sleep(_BUSY_PAUSE_S)
            return None

    def _warn_of_replacement(self) -> None:
        if not self._is_replaced:
            logger.warning("messages are not embedded here: another server has another model")
        self._is_replaced = True

    def _report(self, done: Embedded) -> None:
        if done.problem is not None and done.problem != self.done.problem:
            logger.warning("messages are not embedded: %s", done.problem)
        if done.problem is None and self.done.problem is not None:
            logger.info("messages are embedded again")
        if done.rejected > self.done.rejected:
            count = done.rejected - self.done.rejected
            logger.warning("the embedding model rejects texts of %d messages", count)
        self.done = done
        self._progress(done)


def _check(vectors: Sequence[Vector], count: int, model: RecordedModel) -> None:
    """Check what an embedding model has returned.

    Raises:
        EmbeddingFailed: it cannot be stored.
    """
    if len(vectors) != count:
        raise EmbeddingFailed(
            f"The embedding model returned {len(vectors)} embeddings of {count} texts."
        )
    dimensions = model.dimensions or len(vectors[0])
    for vector in vectors:
        if len(vector) != dimensions or not dimensions:
            raise EmbeddingFailed(
                f"The embedding model returned an embedding of {len(vector)} dimensions; those of "
                f"{model.name} have {dimensions}."
            )
        if not isfinite(sum(vector)):
            raise EmbeddingFailed("The embedding model returned an embedding that is not finite.")
