"""Readers: any thread may read on a connection of its own, and long reads have lanes.

A point read costs less than any hop to another thread, so it runs where it is asked for, the event
loop included. What may take long runs in a lane, with a time limit, and can be paused by the
writer when the log must be shortened.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, time_ns
from typing import TypeVar
from weakref import WeakSet

import apsw

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Operation
from userkeep.domain.values.times import Instant
from userkeep.storage.queries import Query
from userkeep.storage.refusals import CLOSED, SEARCHED_LONG
from userkeep.storage.sqlite.connection import refusal
from userkeep.storage.sqlite.transaction import SqliteTransaction

T = TypeVar("T")

LANES = 2
_STEPS_BETWEEN_LOOKS = 20_000


class ReaderGate:
    """Open, but while the writer keeps it closed no lane begins a read."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    @property
    def is_closed(self) -> bool:
        """Whether readers wait."""
        return not self._open.is_set()

    def close(self) -> None:
        """Let no reader begin."""
        self._open.clear()

    def open(self) -> None:
        """Let readers begin again."""
        self._open.set()

    def wait(self) -> None:
        """Wait until it is open."""
        self._open.wait()


class Readers:
    """Runs reads, each in a transaction: one snapshot, whatever is written meanwhile."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        queries: Mapping[str, Query],
        gate: ReaderGate,
        *,
        limit_ms: int,
    ) -> None:
        self._connect = connect
        self._queries = queries
        self._gate = gate
        self._limit_ms = limit_ms
        self._of_thread = threading.local()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._is_closed = False
        self._lanes = ThreadPoolExecutor(LANES, thread_name_prefix="userkeep-reader")

    def read(self, operation: Operation[T]) -> T:
        """Run a read on this thread's own connection."""
        cursor = self._cursor()
        try:
            cursor.execute("BEGIN")
            return operation(SqliteTransaction(cursor, self._queries, Instant(time_ns() // 1000)))
        except apsw.Error as error:
            refused = refusal(error)
            if refused is None:
                raise
            raise refused from error
        finally:
            # Not ROLLBACK: it may drop the schema, which every statement would then parse again.
            if cursor.connection.in_transaction:
                cursor.execute("COMMIT")

    async def read_in_lane(self, operation: Operation[T]) -> T:
        """Run a read in a lane, within the time limit."""
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lanes, self._read_within_limit, operation)

    def close(self) -> None:
        """Let running reads end, then close every connection."""
        self._is_closed = True
        self._lanes.shutdown(wait=True, cancel_futures=True)
        for connection in list(self._connections):
            connection.close()

    def _read_within_limit(self, operation: Operation[T]) -> T:
        self._gate.wait()
        connection = self._cursor().connection
        ends = monotonic() + self._limit_ms / 1000
        connection.set_progress_handler(lambda: monotonic() > ends, _STEPS_BETWEEN_LOOKS)
        try:
            return self.read(operation)
        except Unavailable as error:
            if monotonic() <= ends:
                raise
            raise Unavailable(SEARCHED_LONG.format(f"{self._limit_ms / 1000:g}")) from error
        finally:
            connection.set_progress_handler(None)

    def _connection_now(self) -> apsw.Connection:
        try:
            return self._connect()
        except StorageError as error:
            raise Unavailable(error.detail) from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(CLOSED)

    def _cursor(self) -> apsw.Cursor:
        self._check_open()
        cursor: apsw.Cursor | None = getattr(self._of_thread, "cursor", None)
        if cursor is None:
            connection = self._connection_now()
            self._connections.add(connection)
            cursor = self._of_thread.cursor = connection.cursor()
        return cursor
