"""Long reads, each in a thread, on a connection that blocks the thread.

Why they run in threads: see storage.read_threads.
"""

from contextlib import suppress
from functools import partial
from time import sleep
from typing import TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage.figures import PoolFigures
from userkeep.storage.postgres.errors import LOCKED, LockedError, NotConnected
from userkeep.storage.postgres.pooled_connection import PoolContext, PooledConnection
from userkeep.storage.postgres.waiter import DeadlineWaiter
from userkeep.storage.read_threads import ReadThreads

T = TypeVar("T")

_CHECK_FOR_READER_EVERY_S = 0.05


class LongReads:
    """Runs reads in threads; each thread uses one connection at a time."""

    def __init__(
        self, context: PoolContext, *, threads: int, limit_ms: int, queue_limit: int
    ) -> None:
        self._connector = context.connector
        self._threads = ReadThreads(threads, limit_ms=limit_ms, queue_limit=queue_limit)
        # As many as threads, so a thread always finds one. The last used is taken first.
        self._all = [_Reader(context) for _ in range(threads)]
        self._free = list(self._all)

    @property
    def running(self) -> int:
        """How many reads run and wait for a thread."""
        return self._threads.running

    @property
    def rejected(self) -> int:
        """How many reads were rejected because too many waited."""
        return self._threads.rejected

    def figures(self) -> PoolFigures:
        """Return what the connections do."""
        connected = sum(reader.is_connected for reader in self._all)
        return PoolFigures(len(self._all), connected, len(self._all) - len(self._free))

    async def run(self, operation: Operation[T]) -> T:
        """Run a read in a thread, within the time limit.

        If the calling task is cancelled, the statement on the server ends too.

        Raises:
            What the operation raises. Unavailable: too many reads wait, the time is up, or the
                database cannot run it now.
        """
        return await self._threads.run(partial(self._run_until, operation))

    def close(self) -> None:
        """End running reads, then close the connections."""
        self._threads.close()
        for reader in self._all:
            reader.close()

    def _run_until(self, operation: Operation[T], deadline: Deadline) -> T:
        try:
            while True:
                deadline.check()
                with suppress(_AnotherIsConnectedError):
                    return self._run_on_reader(operation, deadline)
                sleep(_CHECK_FOR_READER_EVERY_S)
        except LockedError as error:
            raise Unavailable(LOCKED) from error

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
