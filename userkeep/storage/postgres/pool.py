"""Connection pools: of threads that block, and of an event loop.

A row that another transaction has locked must not take every connection. So an operation that finds
a lock waits for it only for FIRST_LOCK_WAIT_MS. Then it is rolled back, and runs again on one of at
most half of the connections, where it waits longer (LOCK_WAIT_S in all). The others stay free for
operations that need no such lock.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from greenlet import greenlet

from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage.errors import CLOSED, QUEUE_FULL, as_future_exception
from userkeep.storage.figures import PoolFigures
from userkeep.storage.postgres.errors import LOCKED, LockedError, NotConnected
from userkeep.storage.postgres.pipelined_reader import Connect, PipelinedReader
from userkeep.storage.postgres.pooled_connection import PoolContext, PooledConnection
from userkeep.storage.postgres.task import Task
from userkeep.storage.postgres.waiter import BlockingWaiter, GreenletWaiter, LoopClosed

T = TypeVar("T")

FIRST_LOCK_WAIT_MS = 100
LOCK_WAIT_S = 5.0
QUEUE_WAIT_S = 10.0
"""How long an operation waits for a connection."""

_CHECK_EVERY_S = 0.25
_MIN_LOCK_WAIT_MS = 10
_QUEUED_TOO_LONG = (
    f"All database connections were busy for {QUEUE_WAIT_S:g} s; nothing was changed. Retry."
)


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

    @property
    def queued(self) -> int:
        """How many operations wait for a connection, of threads and of event loops."""
        pools = list(self._async_pools.values())
        return self._thread_pool.queued + sum(pool.queued for pool in pools)

    @property
    def rejected(self) -> int:
        """How many operations were rejected because too many waited."""
        pools = list(self._async_pools.values())
        return self._thread_pool.rejected + sum(pool.rejected for pool in pools)

    def figures(self) -> dict[str, PoolFigures]:
        """Return what the connections do, of event loops and of threads."""
        of_loops = [pool.figures() for pool in list(self._async_pools.values())]
        sums = (sum(each) for each in zip(*of_loops, strict=True)) if of_loops else (0, 0, 0)
        return {"operations": PoolFigures(*sums), "threads": self._thread_pool.figures()}

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
    """Runs operations in the threads of its callers, at most `size` at the same time.

    Attributes:
        rejected: how many operations were rejected because too many waited.
    """

    def __init__(self, context: PoolContext, *, size: int, queue_limit: int) -> None:
        self._connector = context.connector
        self._all = [PooledConnection(context, BlockingWaiter()) for _ in range(size)]
        self._free = list(self._all)
        self._requests: deque[_ConnectionRequest] = deque()
        self._lock_waiters = threading.Semaphore(_most_lock_waiters(size))
        self._queue_limit = queue_limit
        self._is_closed = False
        self.rejected = 0
        self._condition = threading.Condition()

    @property
    def queued(self) -> int:
        """How many operations wait for a connection."""
        return len(self._requests)

    def figures(self) -> PoolFigures:
        """Return what the connections do."""
        connected = sum(each.is_connected for each in self._all)
        return PoolFigures(len(self._all), connected, len(self._all) - len(self._free))

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation.

        Raises:
            What it raises. Unavailable: the queue is full, the database cannot run it now, or the
                pool is closed.
        """
        try:
            return self._run(operation, is_write=is_write)
        except LockedError:
            return self._run_with_lock_wait(operation, is_write=is_write)

    def close(self) -> None:
        """Wait for running operations, then close the connections."""
        with self._condition:
            self._is_closed = True
            while self._requests:
                self._requests.popleft().fail(CLOSED)
            self._condition.wait_for(lambda: len(self._free) == len(self._all))
            for connection in self._free:
                connection.close()

    def _run_with_lock_wait(self, operation: Operation[T], *, is_write: bool) -> T:
        ends_at = monotonic() + LOCK_WAIT_S
        if not self._lock_waiters.acquire(timeout=LOCK_WAIT_S):
            raise Unavailable(LOCKED)
        try:
            left_ms = _lock_wait_ms(ends_at - monotonic())
            return self._run(operation, is_write=is_write, lock_wait_ms=left_ms)
        except LockedError as error:
            raise Unavailable(LOCKED) from error
        finally:
            self._lock_waiters.release()

    def _run(
        self, operation: Operation[T], *, is_write: bool, lock_wait_ms: int | None = None
    ) -> T:
        ends_at, may_connect = monotonic() + QUEUE_WAIT_S, True
        while True:
            connection = self._acquire(ends_at, may_connect=may_connect)
            try:
                return connection.run(operation, is_write=is_write, lock_wait_ms=lock_wait_ms)
            except NotConnected:
                # Others may be connected, for example if the server allows no further connection.
                if not (self._is_any_connected() and self._connector.is_responding):
                    raise
                may_connect = False
            finally:
                self._release(connection)

    def _acquire(self, ends_at: float, *, may_connect: bool) -> PooledConnection:
        with self._condition:
            if self._is_closed:
                raise Unavailable(CLOSED)
            connection = _connected_first(self._free)
            if connection is not None and (may_connect or connection.is_connected):
                self._free.remove(connection)
                return connection
            if len(self._requests) >= self._queue_limit:
                self.rejected += 1
                raise Unavailable(QUEUE_FULL)
            request = _ConnectionRequest()
            self._requests.append(request)
        if not request.wait(ends_at - monotonic()):
            self._give_up(request)
        return request.connection()

    def _give_up(self, request: "_ConnectionRequest") -> None:
        with self._condition:
            if request in self._requests:
                self._requests.remove(request)
                request.fail(_QUEUED_TOO_LONG)

    def _release(self, connection: PooledConnection) -> None:
        with self._condition:
            is_useful = connection.is_connected or not self._is_any_connected()
            if self._requests and is_useful:
                # Handed to the thread that has waited longest. If it were free for all, a thread
                # that has just used it would take it again, faster than any that must wake up.
                self._requests.popleft().resolve(connection)
                return
            self._free.append(connection)
            self._condition.notify_all()

    def _is_any_connected(self) -> bool:
        return any(each.is_connected for each in self._all)


class _ConnectionRequest:
    """A thread that waits for a free connection."""

    def __init__(self) -> None:
        self._is_resolved = threading.Event()
        self._connection: PooledConnection | None = None
        self._reason = ""

    def resolve(self, connection: PooledConnection) -> None:
        """Hand over a connection."""
        self._connection = connection
        self._is_resolved.set()

    def fail(self, reason: str) -> None:
        """End the waiting without a connection."""
        self._reason = reason
        self._is_resolved.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is resolved or has failed; return False if that takes too long."""
        return self._is_resolved.wait(max(0, seconds))

    def connection(self) -> PooledConnection:
        """Return the connection.

        Raises:
            Unavailable: there is none.
        """
        if self._connection is None:
            raise Unavailable(self._reason)
        return self._connection


class AsyncPool:
    """Runs operations on an event loop, each in a greenlet, at most `size` at the same time.

    Reads go to the pipelined reader first, if there is one.

    Attributes:
        rejected: how many operations were rejected because too many waited.
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
        self._connector = context.connector
        self._queue_limit = queue_limit
        self._tasks: deque[Task] = deque()
        self._locked: deque[Task] = deque()
        self._lock_waiter_count = 0
        self._idle: list[_Worker] = []
        self._is_check_scheduled = False
        self._is_closed = False
        self.rejected = 0
        self._reader = (
            PipelinedReader(connect_pipeline, context.queries, loop, self._enqueue)
            if connect_pipeline
            else None
        )
        self._workers = [_Worker(context, loop, self) for _ in range(size)]
        for worker in self._workers:
            worker.wake()

    @property
    def queued(self) -> int:
        """How many operations wait: for a connection, for a lock, or for a pipelined read."""
        pipelined = 0 if self._reader is None else self._reader.pending_count
        return len(self._tasks) + len(self._locked) + pipelined

    def figures(self) -> PoolFigures:
        """Return what the connections do."""
        size = len(self._workers)
        connected = sum(worker.is_connected for worker in self._workers)
        return PoolFigures(size, connected, size - len(self._idle))

    def submit(self, operation: Operation[T], *, is_write: bool) -> "asyncio.Future[T]":
        """Start an operation, or queue it. A write runs even if the future is cancelled.

        Raises:
            Unavailable: the queue is full, or the pool is closed.
        """
        if self._is_closed:
            raise Unavailable(CLOSED)
        if self.queued >= self._queue_limit:
            self.rejected += 1
            raise Unavailable(QUEUE_FULL)
        future: asyncio.Future[T] = self._loop.create_future()
        task = Task(operation, is_write, future, self._loop.time())
        if is_write or self._reader is None or not self._reader.submit(task):
            self._enqueue(task)
        if not self._is_check_scheduled:
            self._is_check_scheduled = True
            self._loop.call_later(_CHECK_EVERY_S, self._check_timeouts)
        return future

    def close(self) -> None:
        """Close the connections. Running operations are rolled back, queued ones fail."""
        self._is_closed = True
        self._fail_queued(Unavailable(CLOSED))
        if self._reader is not None:
            self._reader.close()
        for worker in self._workers:
            worker.close()

    def has_task(self) -> bool:
        """Return whether a worker has something to do."""
        return bool(self._tasks) or self._may_wait_for_lock()

    def next_task(self) -> Task | None:
        """Return a task for a connected worker, if there is one."""
        # With a single connection, all others come before one that may wait.
        is_turn_of_locked = len(self._workers) > 1 or not self._tasks
        if is_turn_of_locked and self._may_wait_for_lock():
            return self._locked.popleft()
        while self._tasks:
            task = self._tasks.popleft()
            if task.is_needed:
                return task
        return None

    def run(self, task: Task, connection: PooledConnection) -> None:
        """Run a task in the greenlet of a worker, on its connection."""
        if task.locked_since is None:
            self._perform(task, connection, None)
            return
        left_s = task.locked_since + LOCK_WAIT_S - self._loop.time()
        self._lock_waiter_count += 1
        try:
            self._perform(task, connection, _lock_wait_ms(left_s))
        finally:
            self._lock_waiter_count -= 1

    def on_idle(self, worker: "_Worker") -> None:
        """Note that a worker waits until it is woken up."""
        self._idle.append(worker)

    def on_not_connected(self, error: NotConnected) -> None:
        """Leave queued tasks to workers that are connected, or may be soon; without any, fail."""
        if not any(each.is_connected or each.is_connecting for each in self._workers):
            self._fail_queued(error)

    def _perform(self, task: Task, connection: PooledConnection, lock_wait_ms: int | None) -> None:
        try:
            value = connection.run(
                task.operation, is_write=task.is_write, lock_wait_ms=lock_wait_ms
            )
        except LoopClosed:
            task.fail(Unavailable(CLOSED))
            raise
        except LockedError:
            self._on_locked(task)
        except NotConnected as error:
            self._on_connection_lost(task, error)
        except Exception as error:
            task.fail(as_future_exception(error))
        else:
            task.resolve(value)

    def _on_connection_lost(self, task: Task, error: NotConnected) -> None:
        """Let another worker run a task, unless its connection is likely to be broken too."""
        if not self._connector.is_responding:
            task.fail(error)
            return
        self._tasks.appendleft(task)
        self.on_not_connected(error)
        # Later, because this runs in the greenlet of a worker.
        self._loop.call_soon(self._wake_worker_if_needed)

    def _on_locked(self, task: Task) -> None:
        # Those who wait for locks must leave room in the queue for others.
        has_waited = task.locked_since is not None
        if has_waited or len(self._locked) >= self._queue_limit // 2 or self._is_closed:
            task.fail(Unavailable(LOCKED))
            return
        task.locked_since = self._loop.time()
        self._locked.append(task)

    def _may_wait_for_lock(self) -> bool:
        connected = sum(each.is_connected for each in self._workers) if self._locked else 0
        return self._lock_waiter_count < _most_lock_waiters(connected) and bool(self._locked)

    def _enqueue(self, task: Task) -> None:
        if self._is_closed:
            task.fail(Unavailable(CLOSED))
            return
        self._tasks.append(task)
        self._wake_worker()

    def _wake_worker(self) -> None:
        worker = _connected_first(self._idle)
        if worker is not None:
            self._idle.remove(worker)
            worker.wake()

    def _wake_worker_if_needed(self) -> None:
        if self.has_task() and not self._is_closed:
            self._wake_worker()

    def _fail_queued(self, error: Unavailable) -> None:
        for queue in (self._tasks, self._locked):
            while queue:
                queue.popleft().fail(error)

    def _check_timeouts(self) -> None:
        for worker in self._workers:
            worker.check_timeout()
        if self._reader is not None:
            self._reader.check_timeout()
        self._fail_late()
        self._wake_worker_if_needed()  # if it has no connection, it tries again to connect
        is_reader_busy = self._reader is not None and self._reader.is_busy
        is_busy = is_reader_busy or bool(self._tasks) or len(self._idle) < len(self._workers)
        self._is_check_scheduled = is_busy and not self._is_closed
        if self._is_check_scheduled:
            self._loop.call_later(_CHECK_EVERY_S, self._check_timeouts)

    def _fail_late(self) -> None:
        """Fail tasks that have waited for too long: their clients will have left."""
        now = self._loop.time()
        while self._tasks and self._tasks[0].since + QUEUE_WAIT_S < now:
            self._tasks.popleft().fail(Unavailable(_QUEUED_TOO_LONG))
        while self._locked and (self._locked[0].locked_since or 0) + LOCK_WAIT_S < now:
            self._locked.popleft().fail(Unavailable(LOCKED))


class _Worker:
    """A greenlet with a connection that runs task after task, suspended while there is none."""

    def __init__(
        self, context: PoolContext, loop: asyncio.AbstractEventLoop, pool: AsyncPool
    ) -> None:
        self._waiter = GreenletWaiter(loop)
        self._connection = PooledConnection(context, self._waiter)
        self._pool = pool
        self._greenlet = greenlet(self._work)

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection."""
        return self._connection.is_connected

    @property
    def is_connecting(self) -> bool:
        """Whether it may have one soon."""
        return self._connection.is_connecting

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
                # A task is taken only by a worker with a connection: if it cannot connect, others
                # that are connected run it.
                task = self._pool.next_task() if self._connect() else None
                if task is not None:
                    self._pool.run(task, self._connection)
                elif not self.is_connected or not self._pool.has_task():
                    self._pool.on_idle(self)
                    self._waiter.suspend()

    def _connect(self) -> bool:
        if self.is_connected or not self._pool.has_task():
            return self.is_connected
        try:
            self._connection.connect()
        except NotConnected as error:
            self._pool.on_not_connected(error)
            return False
        return True


def _most_lock_waiters(size: int) -> int:
    """Return how many of the connections may wait for locks at the same time."""
    return max(1, size // 2)


def _lock_wait_ms(seconds: float) -> int:
    return max(_MIN_LOCK_WAIT_MS, int(seconds * 1000))


C = TypeVar("C", PooledConnection, _Worker)


def _connected_first(those: Sequence[C]) -> C | None:
    """Return the last that is connected; if none is, the last."""
    for each in reversed(those):
        if each.is_connected:
            return each
    return those[-1] if those else None
