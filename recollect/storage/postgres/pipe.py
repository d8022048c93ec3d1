"""One connection for all short reads of an event loop, many of them in one message.

A read that is one statement needs no connection to itself. What an event loop is asked in one turn
goes to the server together, and the answers come back together, in order (libpq's pipeline mode):
a read costs 17 us of processor time where it costs 45 on a lane of its own, because both ends make
a third of the system calls. (32 waiting for a user each, without HTTP: 34,000 reads a second
against 14,000.)

Nothing depends on it. Reads can be run again, so whatever is out of the ordinary is left to the
lanes, which know what to do: while there is no connection yet, when it breaks, when the server is
silent, when a statement is refused, and for an operation that asks for a second statement.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any, NamedTuple

import psycopg
from greenlet import getcurrent, greenlet
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from recollect.domain.errors import Unavailable
from recollect.domain.times import Instant
from recollect.domain.transaction import Operation
from recollect.storage.postgres.connection import Connection
from recollect.storage.postgres.lane import Road
from recollect.storage.postgres.statements import Statement, parameters
from recollect.storage.postgres.transaction import NeedsSnapshotError, SingleStatement
from recollect.storage.postgres.waiting import ThreadWaiting, has_news
from recollect.storage.refusals import CLOSED, carried

_SILENT_S = 0.25
_PAUSE_S = 1.0


class Task(NamedTuple):
    """An operation that somebody waits for."""

    operation: Operation[Any]
    is_write: bool
    future: "asyncio.Future[Any]"

    def succeed(self, value: Any) -> None:
        """Answer whoever waits, if they have not left."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits, if they have not left."""
        if not self.future.done() and not self.future.get_loop().is_closed():
            self.future.set_exception(error)


class _GivenUpError(BaseException):
    """The connection is not used any more: what waits for it is left to the lanes."""


class ReadPipe:
    """Runs reads of one statement, each in a greenlet, all on one connection."""

    def __init__(
        self, road: Road, loop: asyncio.AbstractEventLoop, leave: Callable[[Task], None]
    ) -> None:
        """Take nothing before there is something to read.

        Args:
            leave: called with what the lanes are to do.
        """
        self._road = road
        self._loop = loop
        self._leave = leave
        self._hub = getcurrent()
        self._idle: list[greenlet] = []
        self._waiting: deque[greenlet | None] = deque()
        self._connection: Connection | None = None
        self._names: dict[bytes, bytes] = {}
        self._is_connecting = False
        self._is_to_be_sent = False
        self._is_closed = False
        self._not_before = 0.0
        self._heard_at = 0.0

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    def take(self, task: Task) -> bool:
        """Begin a read; False where there is no connection, and somebody else must do it."""
        if self._connection is None:
            self._connect()
            return False
        worker = self._idle.pop() if self._idle else greenlet(self._work)
        worker.switch(task)
        return True

    def look(self) -> None:
        """To be called now and then: a server that says nothing at all is left to the lanes."""
        connection = self._connection
        if connection is None or not self._waiting:
            return
        if has_news(connection.handle.socket):  # the loop itself was busy
            self._hear()
        elif self._loop.time() - self._heard_at > _SILENT_S:
            self._give_up(connection)

    def close(self) -> None:
        """Let go of the connection; what waits for it does not happen."""
        self._is_closed = True
        self._give_up(self._connection)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement; its rows. (What a transaction asks its connection for.)"""
        connection = self._connection
        if connection is None:
            raise _GivenUpError
        try:
            self._send(connection.handle, statement, values)
        except psycopg.Error as error:
            raise _GivenUpError from error
        result = self._hub.switch()
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise _GivenUpError
        return connection.reader.rows(result)

    def _work(self, task: Task) -> None:
        while True:
            self._perform(task)
            if self._is_closed:
                return
            self._idle.append(getcurrent())
            task = self._hub.switch()

    def _perform(self, task: Task) -> None:
        connection, now = self._connection, Instant(time_ns() // 1000)
        try:
            value = task.operation(SingleStatement(self, self._road.queries, now))
        except NeedsSnapshotError:
            self._loop.call_soon(self._leave, task)
        except _GivenUpError:
            if self._is_closed:
                task.fail(Unavailable(CLOSED))
            else:
                self._loop.call_soon(self._give_up, connection)
                self._loop.call_soon(self._leave, task)
        except Exception as error:
            task.fail(carried(error))
        else:
            task.succeed(value)

    def _send(self, handle: PGconn, statement: Statement, values: Mapping[str, Any]) -> None:
        sent = parameters(statement, values)
        name = self._names.get(statement.sql)
        if name is None:
            name = self._names[statement.sql] = b"p%d" % len(self._names)
            handle.send_prepare(name, statement.sql, statement.types)
            self._waiting.append(None)
        handle.send_query_prepared(name, sent, statement.formats, pq.Format.BINARY)
        if not self._waiting:
            self._heard_at = self._loop.time()
        self._waiting.append(getcurrent())
        if not self._is_to_be_sent:
            self._is_to_be_sent = True
            self._loop.call_soon(self._send_all)

    def _send_all(self) -> None:
        self._is_to_be_sent = False
        if self._connection is None:
            return
        try:
            self._connection.handle.pipeline_sync()
            self._flush()
        except psycopg.Error:
            self._give_up(self._connection)

    def _flush(self) -> None:
        if self._connection is None:
            return
        handle = self._connection.handle
        try:
            if handle.flush():
                self._loop.add_writer(handle.socket, self._flush)
            else:
                self._loop.remove_writer(handle.socket)
        except psycopg.Error:
            self._give_up(self._connection)

    def _hear(self) -> None:
        connection = self._connection
        if connection is None:
            return
        self._heard_at = self._loop.time()
        try:
            connection.handle.consume_input()
            self._read_results(connection.handle)
        except psycopg.Error:
            self._give_up(connection)
        if connection.handle.status != pq.ConnStatus.OK:
            self._give_up(connection)

    def _read_results(self, handle: PGconn) -> None:
        """Hand over what has come. None ends the results of a statement, a sync those of a message.

        Two times None: there is nothing more, or the connection is at its end.
        """
        was_none = False
        while self._waiting and not handle.is_busy():
            result = handle.get_result()
            if result is None:
                if was_none:
                    return
            elif result.status != pq.ExecStatus.PIPELINE_SYNC:
                self._hand_over(result)
            was_none = result is None

    def _hand_over(self, result: PGresult) -> None:
        worker = self._waiting.popleft()
        if worker is not None:  # None: it was being prepared
            worker.switch(result)

    def _give_up(self, connection: Connection | None) -> None:
        if connection is None or self._connection is not connection:
            return
        self._connection = None
        self._names = {}
        self._not_before = self._loop.time() + _PAUSE_S
        if not self._loop.is_closed():
            self._loop.remove_reader(connection.handle.socket)
            self._loop.remove_writer(connection.handle.socket)
        connection.close()
        waiting, self._waiting = self._waiting, deque()
        for worker in waiting:
            if worker is not None:
                worker.throw(_GivenUpError())

    def _connect(self) -> None:
        if self._is_connecting or self._is_closed or self._loop.time() < self._not_before:
            return
        self._is_connecting = True
        made = self._loop.run_in_executor(None, self._road.gateway.connect, ThreadWaiting())
        made.add_done_callback(self._begin)

    def _begin(self, made: "asyncio.Future[Connection]") -> None:
        self._is_connecting = False
        if made.cancelled() or made.exception() is not None:
            self._not_before = self._loop.time() + _PAUSE_S
            return
        connection = made.result()
        if self._is_closed:
            connection.close()
            return
        connection.handle.enter_pipeline_mode()
        self._loop.add_reader(connection.handle.socket, self._hear)
        self._connection = connection
