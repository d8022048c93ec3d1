"""One place of a pool: a connection that is opened when needed, and runs operations one by one.

Operations are retried where that is safe; errors become client-facing ones. Each case is explained
where it is handled.
"""

import threading
from collections.abc import Callable, Mapping
from random import Random
from time import monotonic, time_ns
from typing import TypeVar

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import Unavailable
from userkeep.domain.transaction import Operation
from userkeep.domain.values.times import Instant
from userkeep.storage.clock import Clock
from userkeep.storage.postgres.connection import Connection
from userkeep.storage.postgres.errors import (
    LOCK_NOT_AVAILABLE,
    UNREACHABLE,
    ConnectionLostError,
    LockedError,
    NotConnected,
    SqlError,
    translate_error,
)
from userkeep.storage.postgres.server import CONNECT_TIMEOUT_S, is_responding
from userkeep.storage.postgres.transaction import (
    NeedsSnapshotError,
    PostgresTransaction,
    SingleStatement,
)
from userkeep.storage.postgres.waiter import Waiter
from userkeep.storage.queries import Query
from userkeep.storage.reports import Reports

T = TypeVar("T")

_MAX_ATTEMPTS = 8
_RETRY_DELAY_S = 0.002
_MIN_BACKOFF_S = 0.05
_MAX_BACKOFF_S = 1.0
_PROBE_VALID_S = 0.3

_CONFLICTS = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
        "23505",  # unique violation: the retry finds the row of the other transaction
    }
)
_STALE_PLAN = frozenset(
    {
        "0A000",  # the result type of a prepared statement has changed
        "26000",  # a prepared statement is unknown: the server is another one
    }
)
_QUERY_CANCELED = "57014"

COMMIT_UNKNOWN = (
    "The connection to the database broke during the commit: it may have happened or not. Read "
    "before you retry, or send an Idempotency-Key."
)

_random = Random()  # noqa: S311 - for delays, which need no secrecy


class Connector:
    """Opens connections. After a failure it rejects attempts for a while (exponential backoff).

    Where the server is down, one caller at a time tries to connect. All others fail immediately,
    instead of waiting for a time-out one after another.
    """

    def __init__(self, connect: Callable[..., Connection], reports: Reports) -> None:
        """Use `connect`, which is called with a Waiter and with `probe`; see Connection."""
        self._reports = reports
        self._connect = connect
        self._lock = threading.Lock()
        self._backoff_s = 0.0
        self._not_before = 0.0
        self._probe_lock = threading.Lock()
        self._probed_at = 0.0
        self._was_responding = True

    @property
    def is_responding(self) -> bool:
        """Whether the server, when it was probed last, responded to new connections.

        If not, connections that look open are not worth waiting for.
        """
        return self._was_responding

    def connect(self, waiter: Waiter) -> Connection:
        """Open a connection.

        Raises:
            NotConnected: the server is unreachable, or was a moment ago.
        """
        with self._lock:
            if self._backoff_s:
                if monotonic() < self._not_before:
                    raise NotConnected
                # Others are rejected until this attempt has ended.
                self._not_before = monotonic() + CONNECT_TIMEOUT_S + _MAX_BACKOFF_S
        try:
            connection = self._connect(waiter, probe=self._probe)
        except Exception as error:  # whatever it is, such as no thread to connect in, may pass
            self._back_off()
            self._reports.report("The database cannot be reached", str(error))
            raise NotConnected from error
        self._backoff_s = 0.0
        self._was_responding = True
        return connection

    def _probe(self, url: str) -> bool:
        """Return whether a silent server responds to new connections.

        The result is shared: if the server does not respond, every connection gives up what it
        waits for, and no new one is opened for a while.
        """
        with self._probe_lock:
            if monotonic() - self._probed_at > _PROBE_VALID_S:
                self._was_responding = is_responding(url)
                self._probed_at = monotonic()
                if not self._was_responding:
                    self._back_off()
            return self._was_responding

    def _back_off(self) -> None:
        with self._lock:
            self._backoff_s = min(max(2 * self._backoff_s, _MIN_BACKOFF_S), _MAX_BACKOFF_S)
            # With jitter, so that several servers do not connect at the same moment.
            self._not_before = monotonic() + _random.uniform(0.5, 1) * self._backoff_s


class PoolContext:
    """What the connections of one pool share.

    Args:
        timeout_message: for a statement that was cancelled by its time-out.
        reports: of problems that an operator must solve.
    """

    def __init__(
        self,
        connector: Connector,
        queries: Mapping[str, Query],
        clock: Clock,
        *,
        timeout_message: str,
        reports: Reports,
    ) -> None:
        self.connector = connector
        self.queries = queries
        self.clock = clock
        self.timeout_message = timeout_message
        self.reports = reports


class PooledConnection:
    """Runs operations, one at a time; connects when it has something to run."""

    def __init__(self, context: PoolContext, waiter: Waiter) -> None:
        self._context = context
        self._waiter = waiter
        self._connection: Connection | None = None
        self._is_connecting = False

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self._connection is not None and not self._connection.is_lost

    @property
    def is_connecting(self) -> bool:
        """Whether the connection is being opened."""
        return self._is_connecting

    def connect(self) -> None:
        """Open the connection, unless it is open.

        Raises:
            NotConnected: the server is unreachable, or was a moment ago.
        """
        self._connected()

    def run(self, operation: Operation[T], *, is_write: bool, lock_wait_ms: int | None = None) -> T:
        """Run an operation, with retries.

        Args:
            operation: to run.
            is_write: whether it may write.
            lock_wait_ms: how long each statement waits for locks of other transactions; None for
                as long as the connection does by default.

        Raises:
            What the operation raises. LockedError: that was not long enough; nothing was changed.
            NotConnected: there is no connection; nothing was changed. Unavailable: the database
                cannot run it now.
        """
        perform = self._write if is_write else self._read

        def attempt_once(connection: Connection) -> T:
            connection.limit_lock_waits(lock_wait_ms)
            return perform(operation, connection)

        return self._retry(attempt_once)

    def read_until(self, deadline: Deadline, operation: Operation[T]) -> T:
        """Run a read, with retries, all of it until a deadline.

        Raises:
            What the operation raises. Unavailable: the deadline is over, or the database cannot
                run it now.
        """

        def read(connection: Connection) -> T:
            deadline.check()
            connection.limit_to(deadline)
            return self._read(operation, connection, deadline)

        return self._retry(read)

    def _retry(self, attempt_once: Callable[[Connection], T]) -> T:
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return attempt_once(self._connected())
            except (SqlError, ConnectionLostError) as error:
                self._close_if_unusable(error)
                if attempt + 1 == _MAX_ATTEMPTS or not _is_retryable(error):
                    raise self._translate(error) from error
            # Full jitter, so that two writers that met do not meet again.
            self._waiter.sleep(_random.uniform(0, _RETRY_DELAY_S * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_lost:
            self._is_connecting = True
            try:
                self._connection = self._context.connector.connect(self._waiter)
            finally:
                self._is_connecting = False
        return self._connection

    def _write(self, operation: Operation[T], connection: Connection) -> T:
        context = self._context
        connection.begin(to_write=True)
        try:
            value = operation(
                PostgresTransaction(connection, context.queries, context.clock.tick())
            )
        except BaseException:
            connection.rollback()
            raise
        connection.commit()
        return value

    def _read(
        self, operation: Operation[T], connection: Connection, deadline: Deadline | None = None
    ) -> T:
        # Most reads are a single statement, which needs no BEGIN and COMMIT.
        now, queries = Instant(time_ns() // 1000), self._context.queries
        is_inline = self._waiter.is_on_loop
        try:
            return operation(
                SingleStatement(connection, queries, now, deadline, is_inline=is_inline)
            )
        except NeedsSnapshotError:
            connection.begin(to_write=False)
        try:
            return operation(
                PostgresTransaction(connection, queries, now, deadline, is_inline=is_inline)
            )
        finally:
            connection.rollback()

    def _close_if_unusable(self, error: SqlError | ConnectionLostError) -> None:
        if isinstance(error, ConnectionLostError) or error.sqlstate in _STALE_PLAN:
            self.close()

    def _translate(self, error: SqlError | ConnectionLostError) -> Exception:
        if isinstance(error, ConnectionLostError):
            return Unavailable(COMMIT_UNKNOWN if error.is_committing else UNREACHABLE)
        if error.sqlstate == LOCK_NOT_AVAILABLE:
            return LockedError()
        if error.sqlstate == _QUERY_CANCELED:
            return Unavailable(self._context.timeout_message)
        if error.is_committing and not error.is_rolled_back:
            return Unavailable(COMMIT_UNKNOWN)
        translated = translate_error(error)
        if translated is not None and error.is_operators:
            self._context.reports.report("The database rejects statements", error.reason)
        return translated or error


def _is_retryable(error: SqlError | ConnectionLostError) -> bool:
    if isinstance(error, ConnectionLostError):
        # Before COMMIT was sent, nothing has happened. After that, it is unknown whether it has: a
        # retry could write twice.
        return not error.is_committing
    return error.sqlstate in _CONFLICTS | _STALE_PLAN
