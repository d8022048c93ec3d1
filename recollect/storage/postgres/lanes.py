"""Lanes: threads, each with a connection, that take operations from one queue.

What can go wrong, and what happens then:

- The connection breaks before COMMIT was sent: nothing has happened; the operation runs again, on a
  new connection.
- It breaks while COMMIT is under way: nobody knows whether it happened. It is not run again, and
  who waits is told so. (A request with an Idempotency-Key may safely be sent again.)
- Two writers met (40001, 40P01), or both wrote the same key (23505: then the one that is run again
  finds the other's row): it runs again, a few times, after a pause of random length.
- The server has been changed under a prepared statement (0A000, 26000): again on a new connection.
- The server is away: who waits is told at once. One lane at a time tries to connect, with pauses
  that grow to a second; the others refuse meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from random import Random
from time import monotonic, sleep, time_ns
from typing import Any, NamedTuple, TypeVar

import psycopg

from recollect.domain.errors import StorageError, Unavailable
from recollect.domain.times import Instant
from recollect.domain.transaction import Operation
from recollect.storage.clock import Clock
from recollect.storage.jobs import CLOSED, TOO_MANY, Job, answer, carried
from recollect.storage.postgres.connection import (
    AWAY,
    CONNECT_S,
    Connection,
    ConnectionLostError,
    SqlError,
    refusal,
)
from recollect.storage.postgres.transaction import (
    NeedsSnapshotError,
    PostgresTransaction,
    SingleStatement,
)
from recollect.storage.queries import Query

T = TypeVar("T")

_MOST_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_WAIT_S = 1.5
_MET_PAUSE_S = 0.002

_random = Random()  # noqa: S311 - for pauses, which need no secrecy

_MET_ANOTHER = frozenset({"40001", "40P01", "23505"})
_STALE_STATEMENT = frozenset({"0A000", "26000"})
_TIMED_OUT = "57014"

UNKNOWN = (
    "The connection to the database broke while this was being committed: it may have happened or "
    "not. Read before you try again, or send an Idempotency-Key."
)


class Gateway:
    """Makes connections; while the server is away it refuses most of the time, at once."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._pause_s = 0.0
        self._not_before = 0.0

    def connect(self) -> Connection:
        """A new connection.

        Raises:
            Unavailable: the server is away.
        """
        with self._lock:
            if self._pause_s:
                if monotonic() < self._not_before:
                    raise Unavailable(AWAY)
                self._not_before = monotonic() + CONNECT_S + _LONGEST_PAUSE_S
        try:
            connection = self._connect()
        except (psycopg.Error, StorageError) as error:
            with self._lock:
                self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._not_before = monotonic() + _random.uniform(0.5, 1) * self._pause_s
            raise Unavailable(AWAY) from error
        self._pause_s = 0.0
        return connection


class _Task(NamedTuple):
    job: Job[Any]
    is_write: bool


class Lanes:
    """Runs jobs until it is closed, `count` at a time."""

    def __init__(
        self,
        gateway: Gateway,
        queries: Mapping[str, Query],
        clock: Clock,
        *,
        count: int,
        queue_limit: int,
        limit_sentence: str,
    ) -> None:
        """Start the threads; each connects when it has something to do.

        Args:
            queue_limit: how many jobs may wait.
            limit_sentence: what is said where the connection's statement time-out has struck.
        """
        self._gateway = gateway
        self._queries = queries
        self._clock = clock
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._queue_limit = queue_limit
        self._limit_sentence = limit_sentence
        self._taken_at = monotonic()
        self._is_closed = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"recollect-lane-{n}", daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job[Any], *, is_write: bool) -> None:
        """Queue a job.

        Raises:
            Unavailable: too many are waiting, no lane gets on, or the lanes are closed.
        """
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if self._queue.qsize() >= self._queue_limit:
                raise Unavailable(TOO_MANY)
            if self._queue.empty():
                self._taken_at = monotonic()
            elif monotonic() - self._taken_at > _WAIT_S:
                # The server has stopped answering in the middle of all lanes' statements.
                self._refuse_waiting()
                raise Unavailable(AWAY)
            self._queue.put(_Task(job, is_write))

    def close(self) -> None:
        """Run what is queued, let go of the connections."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _refuse_waiting(self) -> None:
        refused = []
        while True:
            try:
                task = self._queue.get_nowait()
            except Empty:
                break
            if task is not None:
                task.job.error = Unavailable(AWAY)
                refused.append(task.job)
        answer(refused)

    def _run(self) -> None:
        connection: Connection | None = None
        while (task := self._queue.get()) is not None:
            self._taken_at = monotonic()
            connection = self._perform(task, connection)
            answer([task.job])
        if connection is not None:
            connection.close()

    def _perform(self, task: _Task, connection: Connection | None) -> Connection | None:
        """Run a job to its end, whatever that is; the connection to go on with."""
        job = task.job
        run = self._write if task.is_write else self._read
        for attempt in range(_MOST_ATTEMPTS):
            try:
                connection = connection or self._gateway.connect()
                job.value, job.error = run(connection, job.operation), None
                break
            except Exception as error:
                job.error = self._told(error)
                if connection is not None and (connection.is_lost or _is_stale(error)):
                    connection.close()
                    connection = None
                if not _is_worth_another_try(error):
                    break
                sleep(_random.uniform(0, _MET_PAUSE_S * 2**attempt))
        return connection

    def _write(self, connection: Connection, operation: Operation[T]) -> T:
        connection.begin(to_write=True)
        try:
            value = operation(PostgresTransaction(connection, self._queries, self._clock.tick()))
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        return value

    def _read(self, connection: Connection, operation: Operation[T]) -> T:
        now = Instant(time_ns() // 1000)
        try:
            return operation(SingleStatement(connection, self._queries, now))
        except NeedsSnapshotError:
            connection.begin(to_write=False)
        try:
            return operation(PostgresTransaction(connection, self._queries, now))
        finally:
            connection.rollback()

    def _told(self, error: Exception) -> BaseException:
        told: BaseException = carried(error)
        if isinstance(error, ConnectionLostError):
            told = Unavailable(UNKNOWN if error.is_committing else AWAY)
        elif isinstance(error, SqlError) and error.sqlstate == _TIMED_OUT:
            told = Unavailable(self._limit_sentence)
        elif isinstance(error, SqlError):
            told = refusal(error) or error
        if told is not error:
            told.__cause__ = error
        return told


def _is_stale(error: Exception) -> bool:
    return isinstance(error, SqlError) and error.sqlstate in _STALE_STATEMENT


def _is_worth_another_try(error: Exception) -> bool:
    if isinstance(error, ConnectionLostError):
        return not error.is_committing
    return isinstance(error, SqlError) and error.sqlstate in _MET_ANOTHER | _STALE_STATEMENT
