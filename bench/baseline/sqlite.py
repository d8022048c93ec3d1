"""The bare driver of SQLite: apsw, on connections that are set as the product's.

The baseline server reads on the event loop, in a transaction as the product does, and writes by a
group commit of its own: what is waiting is run in one transaction with `synchronous=FULL`, the loop
is woken once for all of it, and the log is copied back as often as by the product. What operations
defer to the commit is done at its end, in their order, as the product does: FTS5 takes it for a
third of what it costs in any other order.
"""

import asyncio
import threading
from collections.abc import Iterable
from functools import cached_property
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from bench.baseline.replay import Call, Calls, Operation, now, uuids
from bench.harness.requests import Parts
from userkeep.config import sqlite_path
from userkeep.storage.sqlite.checkpointer import CHECKPOINT_PAGES, CHECKPOINT_PAGES_UNDER_LOAD
from userkeep.storage.sqlite.connection import connect


class SqliteReplay:
    """A connection that reads, and another that writes, one operation after the other.

    Args:
        is_durable: whether writes survive a crash of the machine; otherwise the file must be new.
    """

    def __init__(self, url: str, *, is_durable: bool = True) -> None:
        self._path = sqlite_path(url)
        self._is_durable = is_durable
        self._new_uuid = uuids("01980000")
        self._connections: list[apsw.Connection] = []

    def run(self, operation: Operation, request: Parts) -> int:
        """Run an operation; return how many rows were read."""
        calls = operation.calls(request, now(), self._new_uuid)
        if operation.is_write:
            return self.write([calls])
        return run_calls(self._reader, calls, [])

    def write(self, operations: Iterable[Calls]) -> int:
        """Run several writes in one transaction."""
        deferred: list[Call] = []
        self._writer.execute("BEGIN IMMEDIATE")
        rows = sum(run_calls(self._writer, calls, deferred) for calls in operations)
        run_deferred(self._writer, deferred)
        self._writer.execute("COMMIT")
        return rows

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    @cached_property
    def _reader(self) -> apsw.Cursor:
        self._connections.append(connect(self._path, read_only=True))
        return self._connections[-1].cursor()

    @cached_property
    def _writer(self) -> apsw.Cursor:
        connection = connect(self._path)
        if not self._is_durable:
            connection.pragma("journal_mode", "off")
            connection.pragma("synchronous", 0)
            connection.pragma("cache_size", -500_000)
        self._connections.append(connection)
        return connection.cursor()


class SqliteBaseline:
    """What the baseline server runs operations on."""

    def __init__(self, url: str) -> None:
        self._reader = connect(sqlite_path(url), read_only=True).cursor()
        self._writer = GroupCommit(connect(sqlite_path(url)))
        self._new_uuid = uuids("01990000")

    async def run(self, operation: Operation, request: Parts) -> None:
        """Run an operation; a write is on the disk when this returns."""
        calls = operation.calls(request, now(), self._new_uuid)
        if operation.is_write:
            await self._writer.write(calls)
            return
        self._reader.execute("BEGIN")
        run_calls(self._reader, calls, [])
        self._reader.execute("COMMIT")

    def close(self) -> None:
        self._writer.close()
        self._reader.connection.close()


class GroupCommit:
    """A thread that takes what is waiting, runs it in one transaction, and wakes the loop once."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._queue: SimpleQueue[tuple[Calls, asyncio.Future[None]] | None] = SimpleQueue()
        self._deferred: list[Call] = []
        self._wal_pages = 0
        connection.set_wal_hook(self._note_wal_pages)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def write(self, calls: Calls) -> None:
        """Run the calls of an operation; back when they are on the disk."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((calls, future))
        await future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            done = []
            self._cursor.execute("BEGIN IMMEDIATE")
            while job is not None:
                calls, future = job
                done.append((future, self._error_of(calls)))
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
            if job is None:
                self._queue.put(None)  # it is met again by the next turn
            run_deferred(self._cursor, self._deferred)
            self._cursor.execute("COMMIT")
            future.get_loop().call_soon_threadsafe(_wake, done)
            self._checkpoint()

    def _error_of(self, calls: Calls) -> Exception | None:
        try:
            run_calls(self._cursor, calls, self._deferred)
        except (apsw.Error, RuntimeError) as error:
            return error
        return None

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        limit = CHECKPOINT_PAGES if self._queue.empty() else CHECKPOINT_PAGES_UNDER_LOAD
        if self._wal_pages > limit:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _wake(done: list[tuple["asyncio.Future[None]", Exception | None]]) -> None:
    for future, error in done:
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def run_calls(cursor: apsw.Cursor, calls: Calls, deferred: list[Call]) -> int:
    """Run the calls of an operation on a cursor; return how many rows were read."""
    connection, count = cursor.connection, 0
    result: Any = None
    try:
        while True:
            call = calls.send(result)
            result = None
            if call.sort_key is not None:
                deferred.append(call)
            elif call.wants == "rows":
                result = cursor.execute(call.text, call.rows[0]).fetchall()
                count += len(result)
            else:
                before = connection.total_changes()
                cursor.executemany(call.text, call.rows)
                result = connection.total_changes() - before
    except StopIteration:
        return count


def run_deferred(cursor: apsw.Cursor, deferred: list[Call]) -> None:
    """Run what was deferred to the commit, in its order."""
    for call in sorted(deferred, key=attrgetter("sort_key")):
        cursor.executemany(call.text, call.rows)
    deferred.clear()
