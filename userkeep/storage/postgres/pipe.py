"""One connection for the short reads of an event loop, many of them in one message.

A point read costs PostgreSQL little; what costs is the way there. On a lane each read is a message
of its own: both ends write, wait, are woken and read for it. What an event loop is asked in one
turn can as well go to the server together, and the answers come back together, in order (libpq's
pipeline mode). A point read then costs 13 us of processor time where it costs 20 on a lane, and the
server about half (32 who wait for one row each, without HTTP).

Nothing depends on it. A read changes nothing, so it can begin again elsewhere, and whatever is out
of the ordinary is left to the lanes, which know what to do:

- There is no connection: it is being made, or the server is away. It is tried once a second, apart
  from the lanes and their pauses.
- The connection breaks, or a statement is refused. The server then drops all that came after it in
  the same message, so the connection is given up in either case.
- The answers are late. One connection runs one statement at a time, so a slow one, or many from a
  cold disk, would hold up all others: while the oldest read has waited for long, new ones go to the
  lanes, and in the end the old ones too. The connection is used again when it has caught up.
- An operation asks for a second statement, which must see what the first one saw; or for one that
  is not kept, which may be anything (see passing_statement).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
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
from userkeep.storage.postgres.connection import Connection
from userkeep.storage.postgres.statements import Statement, parameters
from userkeep.storage.postgres.task import Task
from userkeep.storage.postgres.transaction import NeedsSnapshotError, SingleStatement
from userkeep.storage.postgres.waiting import Making, ThreadWaiting, has_news
from userkeep.storage.queries import Query
from userkeep.storage.refusals import carried

Connect = Callable[..., Connection]
"""Makes a connection; it is given a Waiting."""

_PREPARED = pq.ExecStatus.COMMAND_OK
_ROWS = pq.ExecStatus.TUPLES_OK
_END_OF_MESSAGE = pq.ExecStatus.PIPELINE_SYNC

_CONNECT_EVERY_S = 1.0
_LATE_S = 0.05
"""After this, new reads go to the lanes; far more than an answer takes under full load."""
_SILENT_S = 0.2
"""After this, those that wait go there too."""


class _LeftToLanesError(BaseException):
    """A read is not answered here. No Exception, so that no operation takes it for its own."""


class ReadPipe:
    """Takes reads while it has a connection, and sees to it that it has one.

    Each read runs in a greenlet, which steps aside until its answer is there.
    """

    def __init__(
        self,
        connect: Connect,
        queries: Mapping[str, Query],
        loop: asyncio.AbstractEventLoop,
        leave: Callable[[Task], None],
    ) -> None:
        """Take nothing before there is something to read; to be called on the loop.

        Args:
            leave: called on the loop with each task that was taken and is left to the lanes.
        """
        self._connect = connect
        self._queries = queries
        self._loop = loop
        self._leave = leave
        self._hub = getcurrent()
        # To make one costs 11 us more than to take one that is there.
        self._idle: list[greenlet] = []
        self._link: _Link | None = None
        self._making: Making[Connection] | None = None
        self._connect_not_before = 0.0
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return 0 if self._link is None else self._link.waiting

    @property
    def is_busy(self) -> bool:
        """Whether answers are to come, be it that nobody waits for them any more."""
        return self._link is not None and self._link.is_busy

    def take(self, task: Task) -> bool:
        """Begin a read; False where it is for the lanes."""
        link = self._link
        if link is None or link.is_ended:
            self._begin_to_connect()
            return False
        if link.is_late:
            return False
        worker = self._idle.pop() if self._idle else greenlet(self._work)
        worker.switch(task, link)
        return True

    def look(self) -> None:
        """To be called now and then while it is busy."""
        if self._link is not None:
            self._link.look()

    def close(self) -> None:
        """Let go of the connection; what waits for it is left."""
        self._is_closed = True
        if self._making is not None:
            self._making.give_up()
        if self._link is not None:
            self._link.end()
        with suppress(greenlet_error):  # those of a thread that is gone stay as they stand
            while self._idle:
                self._idle.pop().throw()

    def _work(self, task: Task, link: "_Link") -> None:
        while True:
            self._perform(task, link)
            if self._is_closed:
                return
            self._idle.append(getcurrent())
            task, link = self._hub.switch()

    def _perform(self, task: Task, link: "_Link") -> None:
        now = Instant(time_ns() // 1000)
        try:
            value = task.operation(SingleStatement(link, self._queries, now))
        except (_LeftToLanesError, NeedsSnapshotError):
            # Not from here: a lane steps aside to the loop, which knows nothing of this greenlet.
            self._loop.call_soon(self._leave, task)
        except Exception as error:
            task.fail(carried(error))
        else:
            task.succeed(value)

    def _begin_to_connect(self) -> None:
        now = self._loop.time()
        if self._making is not None or self._is_closed or now < self._connect_not_before:
            return
        self._connect_not_before = now + _CONNECT_EVERY_S
        # In a thread, which may end later than the pipe and its loop.
        making = Making(lambda: self._connect(ThreadWaiting()))
        self._loop.run_in_executor(None, making.run).add_done_callback(self._begin)
        self._making = making  # not before: if no thread can be had, it is tried again

    def _begin(self, made: "asyncio.Future[Connection]") -> None:
        self._making = None
        with suppress(psycopg.Error, StorageError):  # the lanes will meet it, and tell who waits
            connection = made.result()
            if not self._is_closed:
                self._link = _Link(connection, self._loop)


class _Expected(NamedTuple):
    """A result that will come, after those before it.

    Attributes:
        status: what it is if all is well.
        worker: who waits for it; None where a statement is being prepared.
        since: when it was asked for.
    """

    status: pq.ExecStatus
    worker: greenlet | None
    since: float


class _Link:
    """A connection in pipeline mode, from its first read to its end.

    Whatever goes wrong with it, wherever that is noticed, leads to `end`; that happens once, and
    all who wait then are left to the lanes in the loop's next turn.
    """

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._handle = connection.handle
        self._loop = loop
        self._hub = getcurrent()
        self._names: dict[bytes, bytes] = {}
        self._expected: deque[_Expected] = deque()
        self._unclaimed = 0
        self._is_to_be_sent = False
        self._is_ended = False
        self._handle.enter_pipeline_mode()
        # Kept, because libpq closes and deletes it where it finds the connection broken. To leave
        # it registered would be bad: its number is soon that of another connection.
        self._socket = self._handle.socket
        loop.add_reader(self._socket, self._hear)

    @property
    def is_ended(self) -> bool:
        """Whether the connection is not used any more."""
        return self._is_ended

    @property
    def waiting(self) -> int:
        """How many wait for an answer."""
        return len(self._expected)

    @property
    def is_busy(self) -> bool:
        """Whether answers are to come."""
        return not self._is_ended and bool(self._expected or self._unclaimed)

    @property
    def is_late(self) -> bool:
        """Whether something holds it up, so that new reads had better go elsewhere."""
        return self._unclaimed > 0 or self._has_waited_for(_LATE_S)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement; its rows. (What a transaction asks its connection for.)"""
        if not statement.is_kept:
            raise _LeftToLanesError
        given = parameters(statement, values)
        try:
            self._ask(statement, given)
        except psycopg.Error as error:
            self.end()
            raise _LeftToLanesError from error
        return self._connection.reader.rows(self._hub.switch())

    def execute(self, *_: Any) -> NoReturn:
        """What changes something is no read: the lanes will see."""
        raise _LeftToLanesError

    execute_many = run_later = execute

    def look(self) -> None:
        """See whether anything has come of what is awaited."""
        if not self.is_busy:
            return
        if has_news(self._socket):  # the loop was busy, or does not tell: see LoopWaiting.look
            self._hear()
        elif self._has_waited_for(_SILENT_S):
            self._leave_all()

    def end(self) -> None:
        """Let go of the connection; whoever waits is left to the lanes."""
        if self._is_ended:
            return
        self._is_ended = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            # Not from here, which may be one of those greenlets.
            self._loop.call_soon(self._leave_all)
        self._connection.close()

    def _ask(self, statement: Statement, given: Sequence[bytes | None]) -> None:
        now = self._loop.time()
        name = self._names.get(statement.sql)
        if name is None:
            name = self._names[statement.sql] = b"p%d" % len(self._names)
            self._handle.send_prepare(name, statement.sql, statement.types)
            self._expected.append(_Expected(_PREPARED, None, now))
        self._handle.send_query_prepared(name, given, statement.formats, pq.Format.BINARY)
        self._expected.append(_Expected(_ROWS, getcurrent(), now))
        if not self._is_to_be_sent:
            self._is_to_be_sent = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Send what was asked for in this turn, as one message."""
        self._is_to_be_sent = False
        if self._is_ended:
            return
        try:
            self._handle.pipeline_sync()
        except psycopg.Error:
            self.end()
        else:
            self._flush()

    def _flush(self) -> None:
        try:
            is_all_sent = not self._handle.flush()
        except psycopg.Error:
            self.end()
            return
        if is_all_sent:
            self._loop.remove_writer(self._socket)
        else:
            self._loop.add_writer(self._socket, self._flush)

    def _hear(self) -> None:
        try:
            self._handle.consume_input()
            self._take_results()
        except psycopg.Error:
            self.end()

    def _take_results(self) -> None:
        """Hand over what has come. None ends the results of a statement, a sync those of a message.

        Two times None, while something is expected: the connection is at its end, whatever libpq
        says, and would give None for ever.
        """
        handle, was_none = self._handle, False
        while self.is_busy and not handle.is_busy():
            result = handle.get_result()
            if result is None:
                if was_none:
                    self.end()
            elif (status := result.status) != _END_OF_MESSAGE:
                self._hand_over(result, status)
            was_none = result is None

    def _hand_over(self, result: PGresult, status: int) -> None:
        if self._unclaimed:
            self._unclaimed -= 1
            if status not in (_PREPARED, _ROWS):
                self.end()
        elif status != self._expected[0].status:
            self.end()
        elif (worker := self._expected.popleft().worker) is not None:
            worker.switch(result)

    def _has_waited_for(self, seconds: float) -> bool:
        return bool(self._expected) and self._loop.time() - self._expected[0].since > seconds

    def _leave_all(self) -> None:
        """Leave all that waits to the lanes; answers that still come are nobody's."""
        left, self._expected = self._expected, deque()
        self._unclaimed += len(left)
        for expected in left:
            if expected.worker is not None:
                expected.worker.throw(_LeftToLanesError())
