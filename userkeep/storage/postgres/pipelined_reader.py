"""One connection for the short reads of an event loop, many of them in one message.

A point read costs PostgreSQL little; the round trip costs more. In the pool each read is a message
of its own: both ends write, wait, wake up and read for it. All reads of one iteration of the event
loop can be sent together instead, and their results come back together, in order (libpq's pipeline
mode). A point read then costs 13 µs of CPU time instead of 20 µs, and about half on the server (32
clients that wait for one row each, without HTTP).

Nothing depends on it. A read changes nothing, so it can start again in the pool, which handles
whatever is unusual: there is no connection, or it breaks; a statement fails; results are late; an
operation needs a second statement, or one that is not prepared.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import time_ns
from typing import Any, NamedTuple, NoReturn

import psycopg
from greenlet import error as greenlet_error
from greenlet import getcurrent, greenlet
from psycopg import pq
from psycopg.pq.abc import PGresult

from userkeep.domain.errors import StorageError
from userkeep.domain.values.times import Instant
from userkeep.storage.errors import as_future_exception
from userkeep.storage.postgres.bindings import BIND, NO_PROJECT
from userkeep.storage.postgres.connection import Connection
from userkeep.storage.postgres.statements import Statement, parameters
from userkeep.storage.postgres.task import Task
from userkeep.storage.postgres.transaction import NeedsSnapshotError, SingleStatement
from userkeep.storage.postgres.waiter import AbandonableConnect, BlockingWaiter, is_readable
from userkeep.storage.queries import Query

Connect = Callable[..., Connection]
"""Opens a connection; called with a Waiter."""

_PREPARED = pq.ExecStatus.COMMAND_OK
_ROWS = pq.ExecStatus.TUPLES_OK
_SYNC = pq.ExecStatus.PIPELINE_SYNC

_CONNECT_EVERY_S = 1.0
_SLOW_AFTER_S = 0.05
"""After this, new reads go to the pool. It is far more than a result takes under full load."""
_ABANDON_AFTER_S = 0.2
"""After this, the reads that wait go to the pool too."""


class _UsePool(BaseException):
    """A read must run in the pool. Not an Exception, so that no operation catches it."""


class PipelinedReader:
    """Runs reads while it has a connection, and connects when it has none.

    Each read runs in a greenlet, which is suspended until its result is there.
    """

    def __init__(
        self,
        connect: Connect,
        queries: Mapping[str, Query],
        loop: asyncio.AbstractEventLoop,
        use_pool: Callable[[Task], None],
    ) -> None:
        """Do not connect before the first read; to be called on the loop.

        Args:
            use_pool: called on the loop with each accepted task that must run in the pool after
                all.
        """
        self._connect = connect
        self._queries = queries
        self._loop = loop
        self._use_pool = use_pool
        self._hub = getcurrent()
        # Greenlets are reused: making one costs 11 µs more.
        self._idle: list[greenlet] = []
        self._pipeline: _PipelineConnection | None = None
        self._connecting: AbandonableConnect[Connection] | None = None
        self._connect_not_before = 0.0
        self._is_closed = False

    @property
    def pending_count(self) -> int:
        """How many results are awaited."""
        return 0 if self._pipeline is None else self._pipeline.pending_count

    @property
    def is_busy(self) -> bool:
        """Whether results are still to come, including those of abandoned reads."""
        return self._pipeline is not None and self._pipeline.is_busy

    def submit(self, task: Task) -> bool:
        """Start a read; return False if it must run in the pool."""
        pipeline = self._pipeline
        if pipeline is None or pipeline.is_closed:
            self._start_connecting()
            return False
        if pipeline.is_slow:
            return False
        worker = self._idle.pop() if self._idle else greenlet(self._work)
        worker.switch(task, pipeline)
        return True

    def check_timeout(self) -> None:
        """Move reads that wait for too long to the pool; to be called periodically while busy."""
        if self._pipeline is not None:
            self._pipeline.check_timeout()

    def close(self) -> None:
        """Close the connection; reads that wait move to the pool."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.abandon()
        if self._pipeline is not None:
            self._pipeline.close()
        with suppress(greenlet_error):  # greenlets of a thread that has ended stay suspended
            while self._idle:
                self._idle.pop().throw()

    def _work(self, task: Task, pipeline: "_PipelineConnection") -> None:
        while True:
            self._run(task, pipeline)
            if self._is_closed:
                return
            self._idle.append(getcurrent())
            task, pipeline = self._hub.switch()

    def _run(self, task: Task, pipeline: "_PipelineConnection") -> None:
        now = Instant(time_ns() // 1000)
        try:
            value = task.operation(SingleStatement(pipeline, self._queries, now, is_inline=True))
        except (_UsePool, NeedsSnapshotError):
            # Not from this greenlet: a worker of the pool suspends itself by a switch to the loop.
            self._loop.call_soon(self._use_pool, task)
        except Exception as error:
            task.fail(as_future_exception(error))
        else:
            task.resolve(value)

    def _start_connecting(self) -> None:
        # Once a second, apart from the pool and its back-off.
        now = self._loop.time()
        if self._connecting is not None or self._is_closed or now < self._connect_not_before:
            return
        self._connect_not_before = now + _CONNECT_EVERY_S
        # In a thread, which may end later than the loop.
        attempt = AbandonableConnect(lambda: self._connect(BlockingWaiter()))
        self._loop.run_in_executor(None, attempt.run).add_done_callback(self._on_connected)
        # Set last: if no thread can be started, the next read tries again.
        self._connecting = attempt

    def _on_connected(self, connected: "asyncio.Future[Connection]") -> None:
        self._connecting = None
        # The pool will fail to connect too, and reports it to the clients.
        with suppress(psycopg.Error, StorageError):
            connection = connected.result()
            if not self._is_closed:
                self._pipeline = _PipelineConnection(connection, self._loop)


class _Expected(NamedTuple):
    """A result that will come, after those before it.

    Attributes:
        status: the status of its success.
        worker: the greenlet that waits for it; None for the result of preparing a statement, and of
            naming the project to the server.
        since: when its statement was queued.
    """

    status: pq.ExecStatus
    worker: greenlet | None
    since: float


class _PipelineConnection:
    """A connection in pipeline mode, from its first read until it is closed.

    Every failure, wherever it is noticed, calls `close`. That happens once; all reads that wait
    then move to the pool in the loop's next iteration.
    """

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = loop
        self._hub = getcurrent()
        self._names: dict[bytes, bytes] = {}
        self._projects = self._bound_to = NO_PROJECT
        self._expected: deque[_Expected] = deque()
        self._abandoned_count = 0
        self._is_sync_scheduled = False
        self._is_closed = False
        self._pgconn.enter_pipeline_mode()
        # Kept, because libpq closes the socket and forgets its number where it finds the connection
        # broken. It must be unregistered: the number is soon that of another connection.
        self._socket = self._pgconn.socket
        loop.add_reader(self._socket, self._on_readable)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._is_closed

    @property
    def pending_count(self) -> int:
        """How many results are awaited."""
        return len(self._expected)

    @property
    def is_busy(self) -> bool:
        """Whether results are still to come."""
        return not self._is_closed and bool(self._expected or self._abandoned_count)

    @property
    def is_slow(self) -> bool:
        """Whether new reads should use the pool.

        A connection runs one statement at a time, so a slow one, or many that read from a cold
        disk, would delay all others. It is used again when all late results have come.
        """
        return self._abandoned_count > 0 or self._has_waited_for(_SLOW_AFTER_S)

    def see(self, projects: bytes) -> None:
        """Let the next statement see the rows of these projects only; see bindings."""
        if self._connection.has_row_security:
            self._projects = projects

    def fetch(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement and return its rows; called by the transaction of a read."""
        return self._connection.row_loader.rows(self._result(statement, values))

    def iterate(self, statement: Statement, values: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
        """Run a statement and convert its rows one by one."""
        return self._connection.row_loader.iterate(self._result(statement, values))

    def _result(self, statement: Statement, values: Mapping[str, Any]) -> PGresult:
        if not statement.is_prepared:
            raise _UsePool  # it has a filter of the client's, and may take any time
        encoded = parameters(statement, values)
        try:
            self._queue(statement, encoded)
        except psycopg.Error as error:
            self.close()
            raise _UsePool from error
        result: PGresult = self._hub.switch()
        return result

    def execute(self, *_: Any) -> NoReturn:
        """Leave what is not a plain read to the pool."""
        raise _UsePool

    execute_many = defer = execute

    def check_timeout(self) -> None:
        """Abandon results that are late."""
        if not self.is_busy:
            return
        if is_readable(self._socket):
            # The loop was busy, or does not report it; see GreenletWaiter.check_timeout.
            self._on_readable()
        elif self._has_waited_for(_ABANDON_AFTER_S):
            self._abandon_all()

    def close(self) -> None:
        """Close the connection; reads that wait move to the pool."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            # Later, because this may run in one of the greenlets that are to be interrupted.
            self._loop.call_soon(self._abandon_all)
        self._connection.close()

    def _queue(self, statement: Statement, encoded: Sequence[bytes | None]) -> None:
        if self._projects != self._bound_to:
            self._send(BIND, [self._projects], None)
            self._bound_to = self._projects
        self._send(statement, encoded, getcurrent())
        if not self._is_sync_scheduled:
            self._is_sync_scheduled = True
            self._loop.call_soon(self._sync)

    def _send(
        self, statement: Statement, encoded: Sequence[bytes | None], worker: greenlet | None
    ) -> None:
        now = self._loop.time()
        name = self._names.get(statement.sql)
        if name is None:
            name = self._names[statement.sql] = b"p%d" % len(self._names)
            self._pgconn.send_prepare(name, statement.sql, statement.types)
            self._expected.append(_Expected(_PREPARED, None, now))
        self._pgconn.send_query_prepared(name, encoded, statement.formats, pq.Format.BINARY)
        self._expected.append(_Expected(_ROWS, worker, now))

    def _sync(self) -> None:
        """Send the statements of this iteration of the loop as one message."""
        self._is_sync_scheduled = False
        self._bound_to = NO_PROJECT  # the transaction of the message ends here
        if self._is_closed:
            return
        try:
            self._pgconn.pipeline_sync()
        except psycopg.Error:
            self.close()
        else:
            self._flush()

    def _flush(self) -> None:
        try:
            is_all_sent = not self._pgconn.flush()
        except psycopg.Error:
            self.close()
            return
        if is_all_sent:
            self._loop.remove_writer(self._socket)
        else:
            self._loop.add_writer(self._socket, self._flush)

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
            self._take_results()
        except psycopg.Error:
            self.close()

    def _take_results(self) -> None:
        """Deliver the results that have arrived.

        `get_result` returns None after the results of each statement, and PIPELINE_SYNC after those
        of a message. Two times None while results are expected: the connection has ended, although
        libpq does not say so and would return None for ever.
        """
        pgconn, was_none = self._pgconn, False
        while self.is_busy and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                if was_none:
                    self.close()
            elif (status := result.status) != _SYNC:
                self._deliver(result, status)
            was_none = result is None

    def _deliver(self, result: PGresult, status: int) -> None:
        # After an error the server skips the other statements of the message, so the connection is
        # closed, and their reads start again in the pool.
        if self._abandoned_count:
            self._abandoned_count -= 1
            if status not in (_PREPARED, _ROWS):
                self.close()
        elif status != self._expected[0].status:
            self.close()
        elif (worker := self._expected.popleft().worker) is not None:
            worker.switch(result)

    def _has_waited_for(self, seconds: float) -> bool:
        return bool(self._expected) and self._loop.time() - self._expected[0].since > seconds

    def _abandon_all(self) -> None:
        """Move all reads that wait to the pool; their results are dropped when they arrive."""
        abandoned, self._expected = self._expected, deque()
        self._abandoned_count += len(abandoned)
        for expected in abandoned:
            if expected.worker is not None:
                expected.worker.throw(_UsePool())
