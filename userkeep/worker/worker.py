"""The server's worker: jobs that outlive a request, from start to stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from userkeep.domain.errors import Unavailable, UserkeepError
from userkeep.domain.scope import Rules
from userkeep.jobs.deletion import interrupted_deletions, release_leases
from userkeep.jobs.expiry import delete_expired
from userkeep.jobs.job import Job
from userkeep.storage.engine import Engine
from userkeep.worker.purger import Purger
from userkeep.worker.runner import AsyncRunner
from userkeep.worker.timers import Timers

logger = logging.getLogger(__name__)

_RESPOND_AT_LATEST_S = 60.0
_CHECK_EVERY_S = 0.1
_REPEAT_AFTER_S = 0.25
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 30.0
_EXPIRY_EVERY_S = 3600.0
_EXPIRY_PAUSE_S = 0.1


class Worker:
    """Runs jobs, purges on schedule, and deletes what has expired."""

    def __init__(self, engine: Engine, rules: Rules, timers: Timers) -> None:
        self._engine = engine
        self._rules = rules
        self._timers = timers
        self._purger = Purger(engine, rules.purges, timers)
        self._runner = AsyncRunner(engine, self._purger.check_now)
        self._running: dict[str, _RunningJob] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Resume what an earlier process left unfinished."""
        if not self._engine.is_shared:
            await self._runner.run(release_leases(self._rules))
        await self._resume_interrupted()
        self._purger.start()
        self._tasks = [self._repeat("expiry", self._expire, _EXPIRY_EVERY_S, first_after_s=0.0)]
        if self._engine.is_shared:
            every_s = self._timers.find_abandoned_s
            resume = self._repeat("interrupted deletions", self._resume_interrupted, every_s)
            self._tasks.append(resume)

    async def stop(self) -> None:
        """Stop after the running batches; the next start continues from there."""
        for running in self._running.values():
            running.job.stop()
        tasks = [*(running.task for running in self._running.values()), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._purger.stop(), return_exceptions=True)

    def mark_active(self) -> None:
        """Record a request: the server is not idle."""
        self._purger.requested_at_s = monotonic()

    async def run(self, job: Job) -> Job:
        """Run a job to its end, or for as long as a request may take; it continues in any case.

        Returns after that time only if the job allows it (`may_respond`): a deletion does once
        nothing of its subject can be read.

        Returns:
            The job as it is now; if the same one was running already, that one.

        Raises:
            Unavailable: the job cannot get to where it allows a response.
        """
        deadline = monotonic() + self._timers.respond_after_s
        job = await self._attempt(job, deadline)
        while not job.is_finished and job.may_respond and monotonic() < deadline:
            # A purge that was requested is not possible yet.
            await asyncio.sleep(_REPEAT_AFTER_S)
            job = await self._attempt(job, deadline)
        return job

    async def _attempt(self, job: Job, deadline: float) -> Job:
        running = self._start(job)
        await running.wait(deadline - monotonic())
        while not running.task.done() and not running.job.may_respond:
            running.raise_failure()
            if monotonic() > deadline + _RESPOND_AT_LATEST_S:
                raise Unavailable("This has begun and continues; ask again for its state.")
            await running.wait(_CHECK_EVERY_S)
        if running.task.cancelled():
            raise Unavailable("The server is stopping; this continues at its next start.")
        return running.job

    def _start(self, job: Job) -> "_RunningJob":
        running = self._running.get(job.key)
        if running is None:
            running = self._running[job.key] = _RunningJob(job, self._runner)
            running.task.add_done_callback(lambda _: self._running.pop(job.key, None))
        return running

    async def _resume_interrupted(self) -> None:
        for deletion in await self._runner.run(interrupted_deletions(self._rules)):
            self._start(deletion)

    async def _expire(self) -> None:
        await self._runner.run(delete_expired(self._rules, _EXPIRY_PAUSE_S))

    def _repeat(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        every_s: float,
        first_after_s: float | None = None,
    ) -> "asyncio.Task[None]":
        """Start a task that repeats work at intervals; no error ends it."""

        async def repeat() -> None:
            await asyncio.sleep(every_s if first_after_s is None else first_after_s)
            while True:
                try:
                    await work()
                except UserkeepError as error:
                    logger.warning("%s: retry in %.0f s: %s", name, every_s, error.detail)
                except Exception:
                    logger.exception("%s: retry in %.0f s", name, every_s)
                await asyncio.sleep(every_s)

        return asyncio.create_task(repeat())


class _RunningJob:
    """A job and the task that runs it."""

    def __init__(self, job: Job, runner: AsyncRunner) -> None:
        self.job = job
        self._runner = runner
        self._failure: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())

    async def wait(self, timeout_s: float) -> None:
        """Wait until the job has ended, or an attempt has failed, or the time is up."""
        either: set[asyncio.Future[Any]] = {self.task, self._failure}
        await asyncio.wait(either, timeout=max(timeout_s, 0.0), return_when=asyncio.FIRST_COMPLETED)

    def raise_failure(self) -> None:
        """Raise the error of the last attempt if it failed."""
        if self._failure.done():
            raise self._failure.result()

    async def _run(self) -> None:
        """Run the job to its end, with retries: whatever the error, a deletion must complete."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                return await self._runner.run(self.job.steps())
            except Exception as error:
                logger.warning("job %s: retry in %.1f s: %r", self.job.key, retry_s, error)
                self._failure.set_result(error)
                await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _LAST_RETRY_S)
            self._failure = asyncio.get_running_loop().create_future()
