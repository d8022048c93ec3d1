"""Threads for long reads, such as searches and long pages, each within a time limit.

Ranking, snippets and the conversion of many rows are computation in Python, which would keep an
event loop from everything else. So such a read runs in a thread as a whole.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import Unavailable
from userkeep.storage.errors import CLOSED, QUEUE_FULL

T = TypeVar("T")

_MAX_WAIT_S = 30.0


class ReadThreads:
    """Runs reads in threads, for all event loops.

    Args:
        threads: how many run at the same time.
        limit_ms: how long a read may take, without its wait for a thread.
        queue_limit: how many reads may run and wait.

    Attributes:
        rejected: how many reads were rejected because too many waited.
    """

    def __init__(self, threads: int, *, limit_ms: int, queue_limit: int) -> None:
        self._limit_s = limit_ms / 1000
        self._queue_limit = queue_limit
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="userkeep-reader")
        self._deadlines: set[Deadline] = set()
        self._is_closed = False
        self.rejected = 0

    @property
    def running(self) -> int:
        """How many reads run and wait for a thread."""
        return len(self._deadlines)

    async def run(self, read: Callable[[Deadline], T]) -> T:
        """Run a read in a thread, within the time limit.

        It waits for a thread for half a minute at most. If the calling task is cancelled, the
        deadline that the read is given is over, so that it ends soon.

        Raises:
            What the read raises. Unavailable: too many reads wait, or the time is up.
        """
        if self._is_closed:
            raise Unavailable(CLOSED)
        if len(self._deadlines) >= self._queue_limit:
            self.rejected += 1
            raise Unavailable(QUEUE_FULL)
        deadline = Deadline(_MAX_WAIT_S)
        self._deadlines.add(deadline)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run_until, deadline, read)
        except asyncio.CancelledError:
            deadline.cancel()
            raise
        finally:
            self._deadlines.discard(deadline)

    def close(self) -> None:
        """End running reads, and wait until they have ended."""
        self._is_closed = True
        for deadline in list(self._deadlines):
            deadline.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run_until(self, deadline: Deadline, read: Callable[[Deadline], T]) -> T:
        deadline.check()
        deadline.restart(self._limit_s)
        try:
            return read(deadline)
        except Unavailable as error:
            if not deadline.is_over:
                raise
            raise deadline.error() from error
