"""The bare driver of PostgreSQL: libpq, on connections that are set as the product's.

Statements are prepared once on a connection, and results come in binary. A call that nobody waits
for travels with the next one, BEGIN with the first and COMMIT with the last, as in the product. The
baseline server has as many connections as the product's pool, all on its event loop; each runs one
operation at a time. Reads of one statement share one connection more, as in the product.
"""

import asyncio
import select
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from psycopg import pq
from psycopg.pq.abc import PGresult

from bench.baseline.replay import Calls, Operation, now, uuids
from bench.harness.requests import Parts
from userkeep.config import Settings
from userkeep.storage.postgres.server import connect
from userkeep.storage.postgres.statements import RowLoader, Statement, parameters, statement

_SETTINGS = b"""
SET statement_timeout = 30000;
SET idle_in_transaction_session_timeout = 60000;
SET jit = off;
"""
_BEGIN_WRITE = statement("BEGIN ISOLATION LEVEL READ COMMITTED")
_BEGIN_READ = statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
_COMMIT = statement("COMMIT")
_WELL = {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}


class Command(NamedTuple):
    statement: Statement
    values: Sequence[bytes | None] = ()


Messages = Generator[list[Command], list[PGresult], int]
"""What an operation sends in each message; results are sent back. Returns how many rows it read."""


class Connection:
    """A connection on which several statements are sent in one message."""

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self._reader = RowLoader(self._connection)
        self._pq = self.pgconn = self._connection.pgconn
        self._pq.exec_(_SETTINGS)
        self._pq.nonblocking = 1
        self._prepared: dict[bytes, bytes] = {}
        self.socket = self._pq.socket
        self.close = self._connection.close

    def messages(self, calls: Calls, begin: Statement | None) -> Messages:
        """Yield what an operation sends; with `begin`, in a transaction."""
        unsent = [Command(begin)] if begin else []
        count = 0
        result: Any = None
        try:
            while True:
                call = calls.send(result)
                result = None
                asked = statement(call.text)
                unsent += [Command(asked, parameters(asked, row)) for row in call.rows]
                if call.wants == "nothing":
                    continue
                results = yield unsent
                unsent = []
                if call.wants == "rows":
                    result = self._reader.rows(results[-1])
                    count += len(result)
                else:
                    result = sum(each.command_tuples or 0 for each in results[-len(call.rows) :])
        except StopIteration:
            if begin:
                yield [*unsent, Command(_COMMIT)]
            return count

    def send(self, commands: Sequence[Command]) -> None:
        names = [self._name(command.statement) for command in commands]
        self._is_pipeline = len(commands) > 1
        self._results: list[PGresult] = []
        if self._is_pipeline:
            self._pq.enter_pipeline_mode()
        for name, (of, values) in zip(names, commands, strict=True):
            self._pq.send_query_prepared(name, values, of.formats, pq.Format.BINARY)
        if self._is_pipeline:
            self._pq.pipeline_sync()
        while self._pq.flush():
            select.select([self.socket], [self.socket], [])
            self._pq.consume_input()  # else a server that waits for us to read never reads more

    def receive(self) -> list[PGresult] | None:
        """Read what has arrived: the results of what was sent, or None while some are missing."""
        self._pq.consume_input()
        while not self._pq.is_busy():
            result = self._pq.get_result()
            if result is None and self._is_pipeline:
                continue  # the end of one statement
            if result is None:
                return self._results
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._pq.exit_pipeline_mode()
                return self._results
            if result.status not in _WELL:
                raise RuntimeError(f"PostgreSQL rejected a replay: {result.get_error_message()}")
            self._results.append(result)
        return None

    def _name(self, of: Statement) -> bytes:
        name = self._prepared.get(of.sql)
        if name is None:
            name = self._prepared[of.sql] = b"replay%d" % len(self._prepared)
            self._pq.nonblocking = 0
            self._pq.prepare(name, of.sql, of.types)
            self._pq.nonblocking = 1
        return name


class PostgresReplay:
    """One connection, one operation after the other; reads are in no transaction."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self._new_uuid = uuids("01980000")
        self.close = self._connection.close

    def run(self, operation: Operation, request: Parts) -> int:
        calls = operation.calls(request, now(), self._new_uuid)
        messages = self._connection.messages(calls, _BEGIN_WRITE if operation.is_write else None)
        results: Any = None
        try:
            while True:
                self._connection.send(messages.send(results))
                while (results := self._connection.receive()) is None:
                    select.select([self._connection.socket], [], [])
        except StopIteration as end:
            rows: int = end.value
            return rows


class PostgresBaseline:
    """What the baseline server runs operations on."""

    def __init__(self, url: str) -> None:
        self._new_uuid = uuids("01990000")
        self._reads = PipelinedReads(url)
        self._idle = [_OnLoop(Connection(url)) for _ in range(Settings().postgres_pool_size)]
        self._waiting: deque[asyncio.Future[_OnLoop]] = deque()

    async def run(self, operation: Operation, request: Parts) -> None:
        calls = operation.calls(request, now(), self._new_uuid)
        if not operation.is_write and len(operation.steps) == 1:
            await self._reads.run(calls)
            return
        begin = _BEGIN_WRITE if operation.is_write else _BEGIN_READ
        connection = self._idle.pop() if self._idle else await self._next_idle()
        try:
            await connection.run(calls, begin)
        finally:
            if self._waiting:
                self._waiting.popleft().set_result(connection)
            else:
                self._idle.append(connection)

    def close(self) -> None:
        self._reads.close()
        for connection in self._idle:
            connection.close()

    async def _next_idle(self) -> "_OnLoop":
        self._waiting.append(asyncio.get_running_loop().create_future())
        return await self._waiting[-1]


class PipelinedReads:
    """A connection on which all reads of one turn of the event loop travel together."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(url)
        self.close = self._connection.close
        self._pq = self._connection.pgconn
        self._pq.enter_pipeline_mode()
        self._prepared: dict[bytes, bytes] = {}
        self._expected: deque[asyncio.Future[PGresult] | None] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_sync_scheduled = False

    async def run(self, calls: Calls) -> None:
        messages = self._connection.messages(calls, None)
        [command] = next(messages)
        result = await self._send(*command)
        with suppress(StopIteration):
            messages.send([result])

    def _send(self, of: Statement, values: Sequence[bytes | None]) -> "asyncio.Future[PGresult]":
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._connection.socket, self._receive)
        if of.sql not in self._prepared:
            self._prepared[of.sql] = b"read%d" % len(self._prepared)
            self._pq.send_prepare(self._prepared[of.sql], of.sql, of.types)
            self._expected.append(None)
        self._pq.send_query_prepared(self._prepared[of.sql], values, of.formats, pq.Format.BINARY)
        future: asyncio.Future[PGresult] = self._loop.create_future()
        self._expected.append(future)
        if not self._is_sync_scheduled:
            self._is_sync_scheduled = True
            self._loop.call_soon(self._sync)
        return future

    def _sync(self) -> None:
        self._is_sync_scheduled = False
        self._pq.pipeline_sync()
        self._pq.flush()

    def _receive(self) -> None:
        self._pq.consume_input()
        while self._expected and not self._pq.is_busy():
            result = self._pq.get_result()
            if result is None or result.status == pq.ExecStatus.PIPELINE_SYNC:
                continue
            future = self._expected.popleft()
            if future is not None:
                future.set_result(result)


class _OnLoop:
    """A connection on an event loop, which it joins when it is used first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.close = connection.close
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, calls: Calls, begin: Statement | None) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._connection.socket, self._receive)
        messages = self._connection.messages(calls, begin)
        results: Any = None
        try:
            while True:
                commands = messages.send(results)
                self._future: asyncio.Future[list[PGresult]] = self._loop.create_future()
                self._connection.send(commands)
                results = await self._future
        except StopIteration:
            return

    def _receive(self) -> None:
        try:
            results = self._connection.receive()
        except RuntimeError as error:
            self._future.set_exception(error)
            return
        if results is not None:
            self._future.set_result(results)
