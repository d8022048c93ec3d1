"""Connection pools: of threads that block, and of an event loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from greenlet import greenlet

from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage.errors import CLOSED, QUEUE_FULL, as_future_exception
from userkeep.storage.postgres.pipelined_reader import Connect, PipelinedReader
from userkeep.storage.postgres.pooled_connection import PoolContext, PooledConnection
from userkeep.storage.postgres.task import Task
from userkeep.storage.postgres.waiter import BlockingWaiter, GreenletWaiter, LoopClosed

T = TypeVar("T")

_CHECK_EVERY_S = 0.25


class Pool:
    """A pool of one kind of connections: `size` for threads, and `size` for each event loop."""

    def __init__(
        self,
        context: PoolContext,
        *,
        size: int,
        queue_limit: int,
        connect_pipeline: Connect | None = None,
    ) -> None:
        self._context = context
        self._size = size
        self._queue_limit = queue_limit
        self._connect_pipeline = connect_pipeline
        self._thread_pool = ThreadPool(context, size=size, queue_limit=queue_limit)
        self._async_pools: dict[asyncio.AbstractEventLoop, AsyncPool] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation in this thread; see `ThreadPool.run`."""
        return self._thread_pool.run(operation, is_write=is_write)

    def on_loop(self) -> "AsyncPool":
        """Return the pool of the running event loop.

        Raises:
            Unavailable: the pool is closed.
        """
        loop = asyncio.get_running_loop()
        pool = self._async_pools.get(loop)
        return pool or self._new_on_loop(loop)

    def close(self) -> None:
        """Close all connections. Operations that run on a loop are rolled back."""
        with self._lock:
            self._is_closed = True
            for loop, pool in self._async_pools.items():
                _run_on(loop, pool.close)
            self._async_pools.clear()
        self._thread_pool.close()

    def _new_on_loop(self, loop: asyncio.AbstractEventLoop) -> "AsyncPool":
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            for ended in [each for each in self._async_pools if each.is_closed()]:
                self._async_pools.pop(ended).close()
            pool = AsyncPool(
                self._context,
                loop,
                size=self._size,
                queue_limit=self._queue_limit,
                connect_pipeline=self._connect_pipeline,
            )
            self._async_pools[loop] = pool
            return pool


def _run_on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Run a function in the thread of a running loop, and wait for it; else run it here."""
    if not loop.is_running() or loop is asyncio._get_running_loop():
        function()
        return
    is_done = threading.Event()

    def run() -> None:
        try:
            function()
        finally:
            is_done.set()

    loop.call_soon_threadsafe(run)
    is_done.wait()


class ThreadPool:
    """Runs operations in the threads of its callers, at most `size` at the same time."""

    def __init__(self, context: PoolContext, *, size: int, queue_limit: int) -> None:
        self._free = [PooledConnection(context, BlockingWaiter()) for _ in range(size)]
        self._requests: deque[_ConnectionRequest] = deque()
        self._queue_limit = queue_limit
        self._size = size
        self._is_closed = False
        self._condition = threading.Condition()

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation.

        Raises:
            What it raises. Unavailable: the queue is full, the database cannot run it now, or the
                pool is closed.
        """
        connection = self._acquire()
        try:
            return connection.run(operation, is_write=is_write)
        finally:
            self._release(connection)

    def close(self) -> None:
        """Wait for running operations, then close the connections."""
        with self._condition:
            self._is_closed = True
            while self._requests:
                self._requests.popleft().resolve(None)
            self._condition.wait_for(lambda: len(self._free) == self._size)
            for connection in self._free:
                connection.close()

    def _acquire(self) -> PooledConnection:
        with self._condition:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if self._free:
                return self._free.pop()
            if len(self._requests) >= self._queue_limit:
                raise Unavailable(QUEUE_FULL)
            request = _ConnectionRequest()
            self._requests.append(request)
        connection = request.wait()
        if connection is None:
            raise Unavailable(CLOSED)
        return connection

    def _release(self, connection: PooledConnection) -> None:
        with self._condition:
            if self._requests:
                # Handed to the thread that has waited longest. If it were free for all, a thread
                # that has just used it would take it again, faster than any that must wake up.
                self._requests.popleft().resolve(connection)
                return
            self._free.append(connection)
            self._condition.notify_all()


class _ConnectionRequest:
    """A thread that waits for a free connection."""

    def __init__(self) -> None:
        self._is_resolved = threading.Event()
        self._connection: PooledConnection | None = None

    def resolve(self, connection: PooledConnection | None) -> None:
        """Hand over a connection, or None if the pool is closed."""
        self._connection = connection
        self._is_resolved.set()

    def wait(self) -> PooledConnection | None:
        """Wait for the connection."""
        self._is_resolved.wait()
        return self._connection


class AsyncPool:
    """Runs operations on an event loop, each in a greenlet, at most `size` at the same time.

    Reads go to the pipelined reader first, if there is one.
    """

    def __init__(
        self,
        context: PoolContext,
        loop: asyncio.AbstractEventLoop,
        *,
        size: int,
        queue_limit: int,
        connect_pipeline: Connect | None,
    ) -> None:
        """Start the workers; to be called on the loop."""
        self._loop = loop
        self._queue_limit = queue_limit
        self._tasks: deque[Task] = deque()
        self._idle: list[_Worker] = []
        self._is_check_scheduled = False
        self._is_closed = False
        self._reader = (
            PipelinedReader(connect_pipeline, context.queries, loop, self._enqueue)
            if connect_pipeline
            else None
        )
        self._workers = [_Worker(context, loop, self._next_task) for _ in range(size)]
        for worker in self._workers:
            worker.wake()

    def submit(self, operation: Operation[T], *, is_write: bool) -> "asyncio.Future[T]":
        """Start an operation, or queue it. It runs even if the future is cancelled.

        Raises:
            Unavailable: the queue is full, or the pool is closed.
        """
        if self._is_closed:
            raise Unavailable(CLOSED)
        if len(self._tasks) + self._pipelined() >= self._queue_limit:
            raise Unavailable(QUEUE_FULL)
        future: asyncio.Future[T] = self._loop.create_future()
        task = Task(operation, is_write, future)
        if is_write or self._reader is None or not self._reader.submit(task):
            self._enqueue(task)
        if not self._is_check_scheduled:
            self._is_check_scheduled = True
            self._loop.call_later(_CHECK_EVERY_S, self._check_timeouts)
        return future

    def close(self) -> None:
        """Close the connections. Running operations are rolled back, queued ones fail."""
        self._is_closed = True
        while self._tasks:
            self._tasks.popleft().fail(Unavailable(CLOSED))
        if self._reader is not None:
            self._reader.close()
        for worker in self._workers:
            worker.close()

    def _enqueue(self, task: Task) -> None:
        if self._is_closed:
            task.fail(Unavailable(CLOSED))
            return
        self._tasks.append(task)
        if self._idle:
            self._idle.pop().wake()

    def _pipelined(self) -> int:
        return 0 if self._reader is None else self._reader.pending_count

    def _next_task(self, worker: "_Worker") -> Task | None:
        if self._tasks:
            return self._tasks.popleft()
        self._idle.append(worker)
        return None

    def _check_timeouts(self) -> None:
        for worker in self._workers:
            worker.check_timeout()
        if self._reader is not None:
            self._reader.check_timeout()
        is_reader_busy = self._reader is not None and self._reader.is_busy
        is_busy = is_reader_busy or len(self._idle) < len(self._workers)
        self._is_check_scheduled = is_busy and not self._is_closed
        if self._is_check_scheduled:
            self._loop.call_later(_CHECK_EVERY_S, self._check_timeouts)


class _Worker:
    """A greenlet with a connection that runs task after task, suspended while there is none."""

    def __init__(
        self,
        context: PoolContext,
        loop: asyncio.AbstractEventLoop,
        next_task: "Callable[[_Worker], Task | None]",
    ) -> None:
        self._waiter = GreenletWaiter(loop)
        self._connection = PooledConnection(context, self._waiter)
        self._next_task = next_task
        self._greenlet = greenlet(self._work)

    def wake(self) -> None:
        """Start, or continue with the next task."""
        self._greenlet.switch()

    def close(self) -> None:
        """Interrupt the running task, and close the connection."""
        self._waiter.close(self._greenlet)
        self._connection.close()

    def check_timeout(self) -> None:
        """Probe the server if the running task has waited for it for too long."""
        self._waiter.check_timeout()

    def _work(self) -> None:
        with suppress(LoopClosed):
            while True:
                task = self._next_task(self)
                if task is None:
                    self._waiter.suspend()
                else:
                    self._run(task)

    def _run(self, task: Task) -> None:
        try:
            value = self._connection.run(task.operation, is_write=task.is_write)
        except LoopClosed:
            task.fail(Unavailable(CLOSED))
            raise
        except Exception as error:
            task.fail(as_future_exception(error))
        else:
            task.resolve(value)
