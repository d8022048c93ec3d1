"""Supervision of background work: no error ends it before its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from userkeep.domain.errors import UserkeepError
from userkeep.worker.figures import JobFigures

logger = logging.getLogger(__name__)


class SupervisedTask:
    """Runs work as a task, and starts it again after whatever ended it, until it returns.

    It may end by an error, by one that was raised while another was handled, or because something
    has cancelled the task by accident. What looks after it is a callback of the event loop: it is
    no task, and so cannot be ended itself.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        *,
        first_retry_s: float,
        last_retry_s: float,
        figures: JobFigures,
    ) -> None:
        """Start the work.

        Args:
            name: for the log.
            work: called for each attempt.
            first_retry_s, last_retry_s: the pause after the first failure, which doubles with each
                further one, up to the last.
            figures: count the restarts.
        """
        self._name = name
        self._work = work
        self._retry_s = first_retry_s
        self._last_retry_s = last_retry_s
        self._figures = figures
        self._is_stopping = False
        self._retry: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopping

    @property
    def is_done(self) -> bool:
        """Whether the work has returned, or was stopped."""
        return self._ended.done()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the work has returned or was stopped, or the time is up."""
        timeout_s = None if timeout_s is None else max(timeout_s, 0.0)
        await asyncio.wait({self._ended}, timeout=timeout_s)

    def stop(self) -> None:
        """Cancel the work, and do not start it again; `wait` returns after its end."""
        self._is_stopping = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self._end()
        self._task.cancel()

    def _start(self) -> None:
        self._retry = None
        # A coroutine function of our own, because `work` may return any awaitable.
        self._task = asyncio.get_running_loop().create_task(self._attempt())
        self._task.add_done_callback(self._after)

    async def _attempt(self) -> None:
        await self._work()

    def _after(self, task: "asyncio.Task[None]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None or self._is_stopping:
            self._end()
            return
        # Before it is logged, because a handler of the log may fail too.
        pause_s, self._retry_s = self._retry_s, min(self._retry_s * 2, self._last_retry_s)
        self._retry = asyncio.get_running_loop().call_later(pause_s, self._start)
        self._figures.restarts += 1
        if isinstance(error, UserkeepError):
            logger.warning("%s: retry in %.1f s: %s", self._name, pause_s, error.detail)
        else:
            logger.error("%s: retry in %.1f s", self._name, pause_s, exc_info=error)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
