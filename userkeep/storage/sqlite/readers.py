"""Reads, each on a connection of the calling thread.

A point read costs less than any hop to another thread, so it runs where it is called, on the event
loop too. A read that may take long runs in a thread until a deadline (storage.read_threads). It can
be held back when the writer must truncate the WAL.
"""

import threading
from collections.abc import Callable, Mapping
from time import monotonic, time_ns
from typing import TypeVar
from weakref import WeakSet

import apsw

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Operation
from userkeep.domain.values.times import Instant
from userkeep.storage.errors import CLOSED
from userkeep.storage.queries import Query
from userkeep.storage.reports import Reports
from userkeep.storage.sqlite.connection import FILE_PROBLEM, translate_error
from userkeep.storage.sqlite.files import FileWatch
from userkeep.storage.sqlite.transaction import SqliteTransaction

T = TypeVar("T")

READER_THREADS = 2
_GATE_CHECK_S = 0.05
_MOST_AT_GATE_S = 0.5
_STEPS_BETWEEN_CHECKS = 20_000


class ReaderGate:
    """While the writer keeps it closed, reader threads begin no read."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    @property
    def is_closed(self) -> bool:
        """Whether new reads are held back."""
        return not self._open.is_set()

    def close(self) -> None:
        """Hold back new reads."""
        self._open.clear()

    def open(self) -> None:
        """Let reads begin again."""
        self._open.set()

    def wait(self, deadline: Deadline) -> None:
        """Wait until it is open, for half a second at most.

        Raises:
            Unavailable: the deadline is over.
        """
        ends = monotonic() + _MOST_AT_GATE_S
        while not self._open.wait(_GATE_CHECK_S) and monotonic() < ends:
            deadline.check()


class Readers:
    """Runs reads, each in a transaction: it sees one snapshot, whatever is written concurrently."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        queries: Mapping[str, Query],
        gate: ReaderGate,
        reports: Reports,
        watch: FileWatch | None = None,
    ) -> None:
        self._connect = connect
        self._queries = queries
        self._gate = gate
        self._reports = reports
        self._watch = watch
        self._of_thread = threading.local()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._is_closed = False

    def read(
        self,
        operation: Operation[T],
        deadline: Deadline | None = None,
        *,
        is_inline: bool = False,
    ) -> T:
        """Run a read on the connection of this thread.

        Raises:
            What the operation raises. NeedsThreadError: it is too long to be run inline.
        """
        cursor = self._cursor()
        try:
            cursor.execute("BEGIN")
            now = Instant(time_ns() // 1000)
            return operation(
                SqliteTransaction(
                    cursor, self._queries, now, deadline=deadline, is_inline=is_inline
                )
            )
        except apsw.Error as error:
            translated = translate_error(error, self._reports)
            if translated is None:
                raise
            raise translated from error
        finally:
            # Not ROLLBACK: it may discard the schema, which every statement would parse again.
            if cursor.connection.in_transaction:
                cursor.execute("COMMIT")

    def read_until(self, operation: Operation[T], deadline: Deadline) -> T:
        """Run a read on the connection of this thread, until its deadline."""
        self._gate.wait(deadline)
        connection = self._cursor().connection
        connection.set_progress_handler(lambda: deadline.is_over, _STEPS_BETWEEN_CHECKS)
        try:
            return self.read(operation, deadline)
        finally:
            connection.set_progress_handler(None)

    def close(self) -> None:
        """Close every connection. No read may be running."""
        self._is_closed = True
        for connection in list(self._connections):
            connection.close()

    def _new_connection(self) -> apsw.Connection:
        if self._watch is not None:
            self._watch.check()  # a new connection would create a missing WAL
        try:
            return self._connect()
        except StorageError as error:
            self._reports.report(FILE_PROBLEM, error.detail)
            raise Unavailable(error.detail) from error

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable(CLOSED)

    def _cursor(self) -> apsw.Cursor:
        self._check_open()
        if self._watch is not None:
            self._watch.check_now_and_then()
        cursor: apsw.Cursor | None = getattr(self._of_thread, "cursor", None)
        if cursor is None:
            connection = self._new_connection()
            self._connections.add(connection)
            cursor = self._of_thread.cursor = connection.cursor()
        return cursor
