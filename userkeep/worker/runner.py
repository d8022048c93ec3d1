"""Runs the steps of jobs on an event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from userkeep.jobs.steps import PurgeFiles, Read, Sleep, Step, Steps, Work, Write
from userkeep.storage.engine import Engine

T = TypeVar("T")


class AsyncRunner:
    """Runs jobs as tasks of an event loop.

    Args:
        engine: on which transactions run.
        purge: performs a purge, or waits for one that is under way.
    """

    def __init__(self, engine: Engine, purge: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._purge = purge
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
            case Read(operation):
                return await self._engine.read_async(operation)
            case Write(operation):
                return await self._engine.write_async(operation)
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Work(function):
                return await self._work(function)
            case PurgeFiles():
                return await self._purge()

    async def _work(self, function: Callable[[Engine], Any]) -> Any:
        async with self._turn:
            # If this task is cancelled, the next one's turn comes only when the thread has ended.
            thread = asyncio.create_task(asyncio.to_thread(function, self._engine))
            try:
                return await asyncio.shield(thread)
            except asyncio.CancelledError:
                await asyncio.gather(thread, return_exceptions=True)
                raise
