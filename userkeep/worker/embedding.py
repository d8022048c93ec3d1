"""The server's part of embeddings: runs the job when there is something to embed."""

import asyncio
from contextlib import suppress

from userkeep.domain.embedding import Embedder
from userkeep.domain.errors import UserkeepError
from userkeep.domain.scope import Rules
from userkeep.jobs.embedding import EmbeddingJob
from userkeep.services import embeddings
from userkeep.storage.engine import Engine
from userkeep.worker.figures import JobFigures
from userkeep.worker.runner import AsyncRunner
from userkeep.worker.supervision import SupervisedTask
from userkeep.worker.timers import Timers

_GATHER_S = 0.1
"""Messages that are added within this time are embedded together."""

_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0


class Embedding:
    """Embeds messages in the background, from start to stop.

    Args:
        engine: on which transactions run.
        rules: see Rules.
        runner: runs the job.
        embedder: makes the embeddings. None: vectors that must not be there are deleted, if there
            are any vectors.
        timers: how long it waits.

    Attributes:
        figures: count the runs.
    """

    def __init__(
        self,
        engine: Engine,
        rules: Rules,
        runner: AsyncRunner,
        embedder: Embedder | None,
        timers: Timers,
    ) -> None:
        self.figures = JobFigures()
        self._engine = engine
        self._runner = runner
        self._embedder = embedder
        self._every_s = timers.embed_s
        self._job = EmbeddingJob(rules, embedder, is_shared=engine.is_shared)
        self._is_wanted = asyncio.Event()
        self._task: SupervisedTask | None = None

    @property
    def problem(self) -> str | None:
        """Why the last batch failed; None if it succeeded."""
        return self._job.done.problem

    @property
    def is_configured(self) -> bool:
        """Whether there is an embedding model."""
        return self._embedder is not None

    def start(self) -> None:
        """Start in the background."""
        self._task = SupervisedTask(
            "embeddings",
            self._run,
            first_retry_s=_FIRST_RETRY_S,
            last_retry_s=_LAST_RETRY_S,
            figures=self.figures,
        )

    async def stop(self, timeout_s: float) -> None:
        """Stop; the next start, or another server, continues from there."""
        if self._task is None:
            return
        self._task.stop()
        await self._task.wait(timeout_s)
        with suppress(UserkeepError):
            await self._runner.run(self._job.release())

    def wake(self) -> None:
        """Look for messages to embed now: something was written."""
        self._is_wanted.set()

    async def _run(self) -> None:
        if self._embedder is None and not await self._engine.read_async(embeddings.models):
            return
        while True:
            self._is_wanted.clear()
            with self.figures.run():
                await self._runner.run(self._job.steps())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_wanted.wait(), self._every_s)
                await asyncio.sleep(_GATHER_S)
