"""Runs the steps of jobs on an event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from userkeep.domain.embedding import Embedder
from userkeep.domain.errors import Unavailable
from userkeep.jobs.steps import (
    Embed,
    PurgeFiles,
    Read,
    Record,
    Sleep,
    Step,
    Steps,
    Work,
    Write,
    embed,
)
from userkeep.storage.engine import Engine
from userkeep.storage.ledger import Ledger
from userkeep.worker.threads import run_in_daemon_thread

T = TypeVar("T")

_MAX_WAIT_S = 60.0


class AsyncRunner:
    """Runs jobs as tasks of an event loop.

    Args:
        engine: on which transactions run.
        purge: performs a purge, or waits for one that is under way.
        ledger: records deletions.
        embedder: makes embeddings; None if there is no embedding model.
    """

    def __init__(
        self,
        engine: Engine,
        purge: Callable[[], Awaitable[None]],
        ledger: Ledger,
        embedder: Embedder | None = None,
    ) -> None:
        self._engine = engine
        self._purge = purge
        self._ledger = ledger
        self._embedder = embedder
        # One at a time: such work reads all there is, and slows down those who serve.
        self._turn = asyncio.Lock()

    async def run(self, steps: Steps[T]) -> T:
        """Run a job to its end and return its result, as jobs.steps.Runner does in a thread."""
        resume, value = steps.send, None
        while True:
            try:
                step = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                resume, value = steps.send, await self._take(step)
            except Exception as error:
                resume, value = steps.throw, error

    async def _take(self, step: Step) -> Any:
        match step:
            case Read(operation, is_bounded):
                return await self._engine.read_async(operation, is_bounded=is_bounded)
            case Write(operation):
                return await self._engine.write_async(operation)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Work(function):
                return await self._work(function)
            case PurgeFiles():
                return await self._purge()
            case Record(deleted):
                return await self._ledger.record_async(deleted)
            case Embed(texts):
                # Not a turn of `_work`: it waits for the model, and hardly computes here.
                asked = partial(embed, self._embedder, texts)
                return await run_in_daemon_thread(asked, "userkeep-embed")

    async def _work(self, function: Callable[[Engine], Any]) -> Any:
        try:
            await asyncio.wait_for(self._turn.acquire(), _MAX_WAIT_S)
        except TimeoutError as error:
            raise Unavailable(
                f"Others of its kind have been running for {_MAX_WAIT_S:g} s; start it again later."
            ) from error
        try:
            work = partial(function, self._engine)
            thread = asyncio.create_task(run_in_daemon_thread(work, "userkeep-job"))
        except BaseException:
            self._turn.release()
            raise
        # If this task is cancelled, the next one's turn comes only when the thread has ended.
        thread.add_done_callback(lambda _: self._turn.release())
        return await asyncio.shield(thread)
