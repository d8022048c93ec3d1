"""The server's worker: jobs that outlive a request, from start to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Protocol

from userkeep.domain.embedding import Embedder
from userkeep.domain.erasure import Subject
from userkeep.domain.errors import Unavailable, UserkeepError
from userkeep.domain.scope import Rules
from userkeep.jobs.backup.schedule import BackupSchedule
from userkeep.jobs.deletion import Deletion, interrupted_deletions, release_leases
from userkeep.jobs.document_embedding import DocumentEmbeddingJob
from userkeep.jobs.expiry import delete_expired
from userkeep.jobs.job import NOT_RECORDED, Job
from userkeep.jobs.ledger import OpenLedger
from userkeep.jobs.words import keep_user_words
from userkeep.services import embeddings, user_words
from userkeep.storage.engine import Engine
from userkeep.worker.backups import ScheduledBackups
from userkeep.worker.embedding import Embedding
from userkeep.worker.figures import JobFigures
from userkeep.worker.purger import Purger
from userkeep.worker.runner import AsyncRunner
from userkeep.worker.supervision import SupervisedTask
from userkeep.worker.timers import Timers
from userkeep.worker.traces import JobTraces
from userkeep.worker.vector_indexes import VectorIndexes

_REPEAT_AFTER_S = 0.25
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 30.0
_EXPIRY_EVERY_S = 60.0
_EXPIRY_PAUSE_S = 0.1
_RECORD_EVERY_S = 60.0
_MARK_EVERY_S = 600.0
_RECORD_POLL_S = 0.005
_STOP_S = 5.0
_FIRST_EMBEDDING_RETRY_S = 1.0
_WORDS_PAUSE_S = 0.02
_KINDS = ("deletion", "project deletion", "verification")
"""Of the jobs that requests start."""
_FIRST_WORDS_RETRY_S = 1.0


class Authentication(Protocol):
    """What the worker does for authentication."""

    def forget_user(self, user_uuid: str) -> None:
        """End the keys and tokens of a user who is being deleted."""
        ...

    async def record_uses(self) -> None:
        """Record in the database when keys were used last."""
        ...


class Worker:
    """Runs jobs, purges on schedule, deletes what has expired, and makes the words of users.

    Args:
        engine: on which transactions run.
        rules: see Rules.
        ledger: records deletions.
        timers: how long it waits.
        authenticator: records when keys were used, and forgets those of a user who is deleted.
        traces: record the runs of jobs.
        backup_schedule: when the database is backed up; None: it is not.
        embedder: makes embeddings; None if there is no embedding model.
        hnsw_min_documents: see VectorIndexes.

    Attributes:
        backups: the scheduled backups; None if there are none.
        embedding: embeds messages.
    """

    def __init__(
        self,
        engine: Engine,
        rules: Rules,
        ledger: OpenLedger,
        timers: Timers,
        authenticator: Authentication,
        *,
        traces: JobTraces,
        backup_schedule: BackupSchedule | None = None,
        embedder: Embedder | None = None,
        hnsw_min_documents: int = 0,
    ) -> None:
        self._embedder = embedder
        self._engine = engine
        self._authenticator = authenticator
        self._traces = traces
        self._rules = rules
        self._timers = timers
        self._purger = Purger(engine, rules.purges, timers, traces)
        self.backups = (
            None if backup_schedule is None else ScheduledBackups(backup_schedule, timers)
        )
        self._runner = AsyncRunner(engine, self._purger.check_now, ledger.file, embedder)
        self.embedding = Embedding(engine, rules, self._runner, embedder, timers)
        self._vector_indexes = VectorIndexes(engine, hnsw_min_documents, timers)
        self._document_embedding = DocumentEmbeddingJob(rules, embedder)
        self._ledger = ledger
        self._running: dict[str, _RunningJob] = {}
        self._tasks: list[SupervisedTask] = []
        self._has_released_leases = engine.is_shared
        self._are_words_needed = asyncio.Event()
        self._do_documents_wait = asyncio.Event()
        self._figures = {"purge": self._purger.figures, **{kind: JobFigures() for kind in _KINDS}}
        if engine.dialect == "postgres":
            self._figures["indexes of embeddings"] = self._vector_indexes.figures
        if embedder is not None:
            self._figures["embeddings"] = self.embedding.figures
        if self.backups is not None:
            self._figures["backup"] = self.backups.figures

    @property
    def figures(self) -> Mapping[str, JobFigures]:
        """The figures of each kind of job, by its name."""
        return self._figures

    @property
    def is_purging(self) -> bool:
        """Whether this server is purging the files."""
        return self._purger.is_running

    async def start(self) -> None:
        """Start the background work: first of all, what an earlier process left unfinished."""
        self._purger.start()
        if self.backups is not None:
            self.backups.start()
        self.embedding.start()
        self._vector_indexes.start()
        self._tasks = [
            self._repeat("interrupted deletions", self._resume, self._timers.find_abandoned_s),
            self._repeat("expiry", self._expire, _EXPIRY_EVERY_S),
            self._repeat("last use of keys", self._authenticator.record_uses, _RECORD_EVERY_S),
            self._repeat("mark of the deletion ledger", self._mark_ledger, _MARK_EVERY_S),
            SupervisedTask(
                "words of users",
                self._keep_user_words,
                first_retry_s=_FIRST_WORDS_RETRY_S,
                last_retry_s=_LAST_RETRY_S,
                figures=self._figures_of("words of users"),
            ),
        ]
        self._tasks.append(self._embedding_of_documents())

    async def stop(self) -> None:
        """Stop after the running batches; the next start continues from there."""
        for running in self._running.values():
            running.job.stop()
        tasks = [*(running.task for running in self._running.values()), *self._tasks]
        for task in tasks:
            task.stop()
        others = [
            self._purger.stop(),
            self.embedding.stop(_STOP_S),
            self._vector_indexes.stop(_STOP_S),
        ]
        if self.backups is not None:
            others.append(self.backups.stop())
        await asyncio.gather(*others, *(task.wait(_STOP_S) for task in tasks))
        with suppress(UserkeepError):
            await self._runner.run(self._document_embedding.release())
        with suppress(UserkeepError):
            await self._authenticator.record_uses()
        with suppress(UserkeepError):
            await self._mark_ledger()

    def mark_active(self) -> None:
        """Record a request: the server is not idle."""
        self._purger.requested_at_s = monotonic()

    def keep_user_words(self) -> None:
        """Let the instance keep the words of users from now on, if it does not already."""
        self._are_words_needed.set()

    def embed_documents(self) -> None:
        """Embed documents that were just added, soon."""
        self._do_documents_wait.set()

    async def run(self, job: Job) -> Job:
        """Run a job to its end, or for as long as a request may take; it continues in any case.

        Whatever the job meets, it is not raised here: the job is accepted, and is repeated until it
        has succeeded.

        Returns:
            The job as it is now; if the same one was running already, that one.

        Raises:
            Unavailable: a deletion has begun but is not in the ledger yet.
        """
        if isinstance(job, Deletion) and job.erasure.subject == Subject.USER:
            self._authenticator.forget_user(job.erasure.subject_uuid)
        deadline = monotonic() + self._timers.respond_after_s
        running = self._start(job)
        await running.task.wait(deadline - monotonic())
        while not running.job.is_finished and not running.is_stopped and monotonic() < deadline:
            # A purge that was requested is not possible yet.
            await asyncio.sleep(_REPEAT_AFTER_S)
            running = self._start(running.job)
            await running.task.wait(deadline - monotonic())
        limit = deadline + self._timers.record_s
        while not running.job.may_respond and not running.is_stopped and monotonic() < limit:
            await running.task.wait(_RECORD_POLL_S)
        if not running.job.may_respond:
            raise Unavailable(NOT_RECORDED)
        return running.job

    def _start(self, job: Job) -> "_RunningJob":
        running = self._running.get(job.key)
        if running is None or running.task.is_done:
            running = self._running[job.key] = _RunningJob(
                job, self._runner, self._ended, self._figures_of(job.kind), self._traces
            )
        return running

    def _ended(self, running: "_RunningJob") -> None:
        if self._running.get(running.job.key) is running:
            del self._running[running.job.key]

    async def _resume(self) -> None:
        """Continue the deletions that no process works on.

        Those of an earlier process, of another server that has stopped, and those whose request
        has left between the commit of its deletion and the start of its job.
        """
        if not self._has_released_leases:
            await self._runner.run(release_leases(self._rules))
            self._has_released_leases = True
        for deletion in await self._runner.run(interrupted_deletions(self._rules)):
            self._start(deletion)

    async def _expire(self) -> None:
        await self._runner.run(delete_expired(self._rules, _EXPIRY_PAUSE_S))

    async def _mark_ledger(self) -> None:
        await self._runner.run(self._ledger.keep_mark())

    async def _keep_user_words(self) -> None:
        # What another process has begun is continued.
        if not await self._engine.read_async(user_words.is_begun):
            await self._are_words_needed.wait()
        with self._figures_of("words of users").run():
            await self._runner.run(keep_user_words(self._rules, _WORDS_PAUSE_S))

    def _embedding_of_documents(self) -> SupervisedTask:
        figures = self._figures_of("embedding of documents")

        async def repeat() -> None:
            if self._embedder is None and not await self._engine.read_async(embeddings.models):
                return  # nothing was ever embedded, so there is nothing to remove
            while True:
                self._do_documents_wait.clear()
                with figures.run():
                    await self._runner.run(self._document_embedding.steps())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._do_documents_wait.wait(), self._timers.embed_s)

        return SupervisedTask(
            "embedding of documents",
            repeat,
            first_retry_s=_FIRST_EMBEDDING_RETRY_S,
            last_retry_s=_LAST_RETRY_S,
            figures=figures,
        )

    def _figures_of(self, name: str) -> JobFigures:
        return self._figures.setdefault(name, JobFigures())

    def _repeat(
        self, name: str, work: Callable[[], Awaitable[None]], every_s: float
    ) -> SupervisedTask:
        """Start a task that does work at intervals; no error ends it."""

        figures = self._figures_of(name)
        figures.due_at_s = monotonic()

        async def repeat() -> None:
            while True:
                with figures.run():
                    await work()
                figures.due_at_s = monotonic() + every_s
                await asyncio.sleep(every_s)

        return SupervisedTask(
            name, repeat, first_retry_s=every_s, last_retry_s=every_s, figures=figures
        )


class _RunningJob:
    """A job and the task that runs it, with retries: whatever the error, it must complete."""

    def __init__(
        self,
        job: Job,
        runner: AsyncRunner,
        ended: "Callable[[_RunningJob], None]",
        figures: JobFigures,
        traces: JobTraces,
    ) -> None:
        self.job = job
        self._traces = traces
        self._figures = figures
        self._runner = runner
        self._on_end = ended
        self.task = SupervisedTask(
            f"job {job.key}",
            self._run,
            first_retry_s=_FIRST_RETRY_S,
            last_retry_s=_LAST_RETRY_S,
            figures=figures,
        )

    @property
    def is_stopped(self) -> bool:
        """Whether the server is stopping; the job continues at its next start."""
        return self.task.is_stopped

    async def _run(self) -> None:
        with self._traces.job(self.job.kind), self._figures.run():
            await self._runner.run(self.job.steps())
        self._on_end(self)
