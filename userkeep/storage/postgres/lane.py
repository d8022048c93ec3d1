"""A lane: one connection at a time, on which operations run one after another.

What can go wrong, and what happens then:

- The connection breaks before COMMIT was sent: nothing has happened; the operation runs again, on a
  new connection.
- It breaks while COMMIT is under way: nobody knows whether it happened. It is not run again, and
  who waits is told so. (A request with an Idempotency-Key may safely be sent again.)
- Two writers met (40001, 40P01), or both wrote the same key (23505: then the one that is run again
  finds the other's row): it runs again, a few times, after a pause of random length.
- The server has been changed under a prepared statement (0A000, 26000): again on a new connection.
- The server is silent: where a statement takes long, a new caller asks whether it is there at all
  (it may be slow, or wait for a lock). If not, the connection counts as broken.
- The server is away: who waits is told at once. One lane at a time tries to connect, with pauses
  that grow to a second; the others refuse meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from random import Random
from time import monotonic, time_ns
from typing import TypeVar

import psycopg

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Operation
from userkeep.domain.values.times import Instant
from userkeep.storage.clock import Clock
from userkeep.storage.postgres.connection import (
    AWAY,
    CONNECT_S,
    Connection,
    ConnectionLostError,
    SqlError,
    answers,
    refusal,
)
from userkeep.storage.postgres.transaction import (
    NeedsSnapshotError,
    PostgresTransaction,
    SingleStatement,
)
from userkeep.storage.postgres.waiting import Waiting
from userkeep.storage.queries import Query

T = TypeVar("T")

_MOST_ATTEMPTS = 8
_MET_PAUSE_S = 0.002
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_FRESH_S = 0.3

_MET_ANOTHER = frozenset({"40001", "40P01", "23505"})
_STALE_STATEMENT = frozenset({"0A000", "26000"})
_TIMED_OUT = "57014"

UNKNOWN = (
    "The connection to the database broke while this was being committed: it may have happened or "
    "not. Read before you try again, or send an Idempotency-Key."
)

_random = Random()  # noqa: S311 - for pauses, which need no secrecy


class Gateway:
    """Makes connections; while the server is away it refuses most of the time, at once."""

    def __init__(self, connect: Callable[..., Connection]) -> None:
        """Take `connect`, which is given a Waiting and `is_answering`; see Connection."""
        self._connect = connect
        self._lock = threading.Lock()
        self._pause_s = 0.0
        self._not_before = 0.0
        self._asking = threading.Lock()
        self._asked_at = 0.0
        self._was_answering = True

    def connect(self, waiting: Waiting) -> Connection:
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
            connection = self._connect(waiting, is_answering=self._is_answering)
        except (psycopg.Error, StorageError) as error:
            self._refuse_for_a_while()
            raise Unavailable(AWAY) from error
        self._pause_s = 0.0
        return connection

    def _is_answering(self, server: str) -> bool:
        """Whether a silent server answers a new caller; what one lane has found out holds for all.

        If not, all lanes give up what they wait for, and no connection is made for a while.
        """
        with self._asking:
            if monotonic() - self._asked_at > _FRESH_S:
                self._was_answering = answers(server)
                self._asked_at = monotonic()
                if not self._was_answering:
                    self._refuse_for_a_while()
            return self._was_answering

    def _refuse_for_a_while(self) -> None:
        with self._lock:
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._not_before = monotonic() + _random.uniform(0.5, 1) * self._pause_s


class Road:
    """What all lanes of one kind have in common.

    Args:
        limit_sentence: what is said where a statement's time-out has struck.
    """

    def __init__(
        self, gateway: Gateway, queries: Mapping[str, Query], clock: Clock, *, limit_sentence: str
    ) -> None:
        self.gateway = gateway
        self.queries = queries
        self.clock = clock
        self.limit_sentence = limit_sentence


class Lane:
    """Runs operations, one at a time; it connects when it has something to do."""

    def __init__(self, road: Road, waiting: Waiting) -> None:
        self._road = road
        self._waiting = waiting
        self._connection: Connection | None = None

    def run(self, operation: Operation[T], *, is_write: bool) -> T:
        """Run an operation to its end, whatever that is.

        Raises:
            What the operation raises. Unavailable: the database cannot do it now.
        """
        perform = self._write if is_write else self._read
        for attempt in range(_MOST_ATTEMPTS):
            try:
                return perform(self._connected(), operation)
            except (SqlError, ConnectionLostError) as error:
                self._drop_if_useless(error)
                if attempt + 1 == _MOST_ATTEMPTS or not _is_worth_another_try(error):
                    raise self._told(error) from error
            self._waiting.pause(_random.uniform(0, _MET_PAUSE_S * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_lost:
            self._connection = self._road.gateway.connect(self._waiting)
        return self._connection

    def _write(self, connection: Connection, operation: Operation[T]) -> T:
        road = self._road
        connection.begin(to_write=True)
        try:
            value = operation(PostgresTransaction(connection, road.queries, road.clock.tick()))
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        return value

    def _read(self, connection: Connection, operation: Operation[T]) -> T:
        now, queries = Instant(time_ns() // 1000), self._road.queries
        try:
            return operation(SingleStatement(connection, queries, now))
        except NeedsSnapshotError:
            connection.begin(to_write=False)
        try:
            return operation(PostgresTransaction(connection, queries, now))
        finally:
            connection.rollback()

    def _drop_if_useless(self, error: SqlError | ConnectionLostError) -> None:
        if isinstance(error, ConnectionLostError) or error.sqlstate in _STALE_STATEMENT:
            self.close()

    def _told(self, error: SqlError | ConnectionLostError) -> Exception:
        if isinstance(error, ConnectionLostError):
            return Unavailable(UNKNOWN if error.is_committing else AWAY)
        if error.sqlstate == _TIMED_OUT:
            return Unavailable(self._road.limit_sentence)
        return refusal(error) or error


def _is_worth_another_try(error: SqlError | ConnectionLostError) -> bool:
    if isinstance(error, ConnectionLostError):
        return not error.is_committing
    return error.sqlstate in _MET_ANOTHER | _STALE_STATEMENT
