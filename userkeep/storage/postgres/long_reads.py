"""Long reads, such as searches and long pages, each in a thread and within a time limit.

Ranking, snippets and the conversion of many rows are computation in Python, which would keep the
event loop from everything else. So such a read runs in a thread as a whole, on a connection that
blocks the thread.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import sleep
from typing import TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage.errors import CLOSED, QUEUE_FULL
from userkeep.storage.postgres.errors import LOCKED, LockedError, NotConnected
from userkeep.storage.postgres.pooled_connection import PoolContext, PooledConnection
from userkeep.storage.postgres.waiter import DeadlineWaiter

T = TypeVar("T")

_MAX_WAIT_S = 30.0
_CHECK_FOR_READER_EVERY_S = 0.05


class LongReads:
    """Runs reads in threads, for all event loops; each thread uses one connection at a time."""

    def __init__(
        self, context: PoolContext, *, threads: int, limit_ms: int, queue_limit: int
    ) -> None:
        self._connector = context.connector
        self._limit_s = limit_ms / 1000
        self._queue_limit = queue_limit
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="userkeep-reader")
        # As many as threads, so a thread always finds one. The last used is taken first.
        self._all = [_Reader(context) for _ in range(threads)]
        self._free = list(self._all)
        self._running: set[Deadline] = set()
        self._is_closed = False

    async def run(self, operation: Operation[T]) -> T:
        """Run a read in a thread, within the time limit.

        It waits for a thread for half a minute at most, which does not count. If the calling task
        is cancelled, the read ends soon, its statement on the server included.

        Raises:
            What the operation raises. Unavailable: too many reads wait, the time is up, or the
                database cannot run it now.
        """
        if self._is_closed:
            raise Unavailable(CLOSED)
        if len(self._running) >= self._queue_limit:
            raise Unavailable(QUEUE_FULL)
        deadline = Deadline(_MAX_WAIT_S)
        self._running.add(deadline)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._run_until, operation, deadline)
        except asyncio.CancelledError:
            deadline.cancel()
            raise
        finally:
            self._running.discard(deadline)

    def close(self) -> None:
        """End running reads, then close the connections."""
        self._is_closed = True
        for deadline in list(self._running):
            deadline.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for reader in self._all:
            reader.close()

    def _run_until(self, operation: Operation[T], deadline: Deadline) -> T:
        deadline.check()
        deadline.restart(self._limit_s)
        try:
            while True:
                deadline.check()
                with suppress(_AnotherIsConnectedError):
                    return self._run_on_reader(operation, deadline)
                sleep(_CHECK_FOR_READER_EVERY_S)
        except LockedError as error:
            raise Unavailable(LOCKED) from error
        except Unavailable as error:
            if not deadline.is_over:
                raise
            raise deadline.error() from error

    def _run_on_reader(self, operation: Operation[T], deadline: Deadline) -> T:
        reader = self._free.pop()
        try:
            return reader.run(operation, deadline)
        except NotConnected as error:
            # For example, the server allows no further connection: one that exists is used.
            is_other_connected = any(each.is_connected for each in self._all)
            if is_other_connected and self._connector.is_responding:
                raise _AnotherIsConnectedError from error
            raise
        finally:
            # The connected ones are taken first.
            self._free.insert(len(self._free) if reader.is_connected else 0, reader)


class _AnotherIsConnectedError(Exception):
    """A connection could not be opened, but another one is open."""


class _Reader:
    """A connection for one read at a time."""

    def __init__(self, context: PoolContext) -> None:
        self._waiter = DeadlineWaiter()
        self._connection = PooledConnection(context, self._waiter)

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection.is_connected

    def run(self, operation: Operation[T], deadline: Deadline) -> T:
        """Run a read until its deadline."""
        self._waiter.deadline = deadline
        return self._connection.read_until(deadline, operation)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
