"""One connection to PostgreSQL.

Psycopg connects (URL, TLS, authentication) and converts values. Statements go through its wrapper
of libpq, `psycopg.pq`, because each is prepared once and runs thousands of times: a write of two
statements takes a third of the CPU time that cursors need. Once the connection is open nothing here
blocks: all waiting goes through the connection's `Waiter`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import ceil, inf
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from userkeep.domain.deadline import Deadline
from userkeep.storage.postgres.bindings import BIND, NO_PROJECT
from userkeep.storage.postgres.errors import ConnectionLostError, SqlError
from userkeep.storage.postgres.server import (
    connect,
    execute_promptly,
    is_responding,
    server_version,
    unresponsive,
)
from userkeep.storage.postgres.statements import (
    NO_PARAMETERS,
    RowLoader,
    Statement,
    parameters,
    statement,
)
from userkeep.storage.postgres.waiter import StatementAbandonedError, Waiter

_BEGIN_WRITE = Statement(b"BEGIN ISOLATION LEVEL READ COMMITTED", (), (), ())
_BEGIN_READ = Statement(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", (), (), ())
_COMMIT = Statement(b"COMMIT", (), (), ())
_ROLLBACK = Statement(b"ROLLBACK", (), (), ())
_LIMIT_STATEMENTS = statement("SELECT set_config('statement_timeout', :limit, false)")

# synchronous_commit: a commit is durable before it is reported, whatever the server's default.
# jit: compiling costs more than any of these statements.
_SETTINGS = """
SET statement_timeout = {statement_limit_ms};
SET lock_timeout = {lock_wait_ms};
SET idle_in_transaction_session_timeout = 60000;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
"""

_LIMIT_LOCK_WAITS = statement("SELECT set_config('lock_timeout', :limit, false)")

_IN_FAILED_TRANSACTION = "25P02"
_CANCEL_TIMEOUT_S = 2.0
_SUCCESS = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_CLOSES_CONNECTION = frozenset(
    {
        "57P01",  # terminated by an administrator, or the server shuts down
        "57P02",  # another backend crashed
        "57P03",  # the server is starting up
        "57P05",  # idle for too long
        "25P03",  # idle in a transaction for too long
    }
)


class _Command(NamedTuple):
    statement: Statement
    values: Sequence[bytes | None] = NO_PARAMETERS


class Connection:
    """A connection that prepares each statement at its first use and keeps it prepared.

    A transaction begins with its first statement, in the same message. Deferred statements are sent
    with the next statement that has a result, or with COMMIT.
    """

    def __init__(
        self,
        url: str,
        waiter: Waiter,
        *,
        statement_limit_ms: int,
        lock_wait_ms: int = 0,
        schema: str | None = None,
        row_security: bool = False,
        probe: Callable[[str], bool] = lambda _url: True,
    ) -> None:
        """Connect.

        Args:
            url: of the database.
            waiter: waits for the socket of this connection.
            statement_limit_ms: a statement that takes longer is cancelled; 0 for no limit.
            lock_wait_ms: a statement that waits longer for a lock is cancelled; 0 for no limit.
            schema: of our tables, if it is known.
            row_security: whether each transaction names its project to the server.
            probe: called with the URL of the server when it has been silent for too long; returns
                whether the server still responds to new connections.

        Raises:
            psycopg.Error: the server cannot be reached, or rejects the connection.
            StorageError: the server's version or encoding is not supported.
        """
        self._waiter = waiter
        settings = _SETTINGS.format(
            statement_limit_ms=statement_limit_ms, lock_wait_ms=lock_wait_ms
        )
        if row_security:
            settings += "; SET userkeep.project_id = ''"  # whatever the database or the role set
        self._psycopg = waiter.connect(lambda: _connect_with_settings(url, schema, settings))
        self._row_loader = RowLoader(self._psycopg)
        self._pq = self._psycopg.pgconn
        self._pq.nonblocking = 1
        self._prepared: dict[bytes, bytes] = {}
        self._begin_with: Statement | None = None
        self._is_in_transaction = False
        self._deferred: list[_Command] = []
        self._has_row_security = row_security
        self._projects = self._bound_to = NO_PROJECT
        self._is_closed = False
        self._deadline: Deadline | None = None
        self._default_lock_wait_ms = self._lock_wait_ms = lock_wait_ms
        # libpq closes the socket and forgets its number where it finds the connection broken.
        self._socket = self._pq.socket
        waiter.watch(self._socket, self._on_server_close, partial(probe, self._server_url(url)))

    def begin(self, *, to_write: bool) -> None:
        """Begin a transaction with the next statement.

        Args:
            to_write: whether it may write; if not, it reads one snapshot.
        """
        self._begin_with = _BEGIN_WRITE if to_write else _BEGIN_READ
        self._bound_to = NO_PROJECT

    def limit_to(self, deadline: Deadline) -> None:
        """Give each statement from now on what is left of a deadline.

        The server ends it then by itself, whatever this process does.
        """
        self._deadline = deadline

    def limit_lock_waits(self, limit_ms: int | None) -> None:
        """Set how long each statement from now on waits for locks; None for the default.

        To be called between transactions. It is a statement of its own, because preparing the next
        one already waits for locks of its tables.
        """
        wanted_ms = self._default_lock_wait_ms if limit_ms is None else limit_ms
        if wanted_ms != self._lock_wait_ms:
            self._send([_Command(_LIMIT_LOCK_WAITS, [b"%d" % wanted_ms])])
            self._lock_wait_ms = wanted_ms

    @property
    def has_row_security(self) -> bool:
        """Whether each transaction names its project to the server."""
        return self._has_row_security

    def see(self, projects: bytes) -> None:
        """Let the statements from now on see the rows of these projects only; see bindings.

        The server gets to know it in the same message as the next statement.
        """
        if self._has_row_security:
            self._projects = projects

    def fetch(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        result = self._run(_Command(statement, parameters(statement, values)))
        if self._deadline is None:
            return self._row_loader.rows(result)
        return self._row_loader.rows_until(self._deadline.check, result)

    def iterate(self, statement: Statement, values: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
        """Run a statement and convert its rows one by one."""
        result = self._run(_Command(statement, parameters(statement, values)))
        return self._row_loader.iterate(result)

    def execute(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Run a statement and return how many rows it changed."""
        result = self._run(_Command(statement, parameters(statement, values)))
        return result.command_tuples or 0

    def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run a statement for each row of values, in one message; return how many rows changed."""
        commands = [_Command(statement, parameters(statement, row)) for row in rows]
        if not commands:
            return 0
        results = self._send_with_deferred(self._bound(commands))
        return sum(result.command_tuples or 0 for result in results[-len(commands) :])

    def defer(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement for each row of values, at the latest before COMMIT."""
        commands = [_Command(statement, parameters(statement, row)) for row in rows]
        self._deferred += self._bound(commands)

    def commit(self) -> None:
        """Commit the transaction, if it has begun. It is durable when this returns.

        Raises:
            SqlError, ConnectionLostError.
        """
        if not self._is_in_transaction and not self._deferred:
            self._begin_with = None
            return
        try:
            result = self._send_with_deferred([_Command(_COMMIT)])[-1]
        except ConnectionLostError as error:
            raise ConnectionLostError(str(error), is_committing=True) from error
        except SqlError as error:
            error.is_committing = True
            self._is_in_transaction = self._pq.transaction_status != pq.TransactionStatus.IDLE
            self.rollback()
            raise
        self._is_in_transaction = False
        self._bound_to = NO_PROJECT
        # COMMIT of a failed transaction rolls it back, and reports success.
        if result.command_status == b"ROLLBACK":
            raise SqlError(
                _IN_FAILED_TRANSACTION, "a statement failed, and its operation continued"
            )

    def rollback(self) -> None:
        """Roll the transaction back, if it has begun."""
        self._begin_with = None
        self._bound_to = NO_PROJECT
        self._deferred.clear()
        if not self._is_in_transaction:
            return
        self._is_in_transaction = False
        try:
            self._send([_Command(_ROLLBACK)])
        except (SqlError, ConnectionLostError):
            self.close()  # the server rolls back when the connection ends

    @property
    def pgconn(self) -> PGconn:
        """The connection of libpq, for the pipelined reader, which sends its own messages."""
        return self._pq

    @property
    def row_loader(self) -> RowLoader:
        """Converts the results of this connection to rows."""
        return self._row_loader

    @property
    def version(self) -> str:
        """The server's version, such as `18.4`."""
        return server_version(self._psycopg)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is closed or broken."""
        return self._is_closed

    def close(self) -> None:
        """Close the connection."""
        if not self._is_closed:
            self._is_closed = True
            self._waiter.unwatch(self._socket)
            self._psycopg.close()

    def _server_url(self, url: str) -> str:
        """Return the URL of the server that was chosen, where the given URL names several."""
        given = {"host": self._pq.host, "hostaddr": self._pq.hostaddr, "port": self._pq.port}
        return make_conninfo(
            url, **{name: value.decode() for name, value in given.items() if value}
        )

    def _run(self, command: _Command) -> PGresult:
        return self._send_with_deferred(self._bound([command]))[-1]

    def _bound(self, commands: list[_Command]) -> list[_Command]:
        """Put the command before them that names their project, unless it is named already."""
        if self._projects == self._bound_to or not commands:
            return commands
        self._bound_to = self._projects
        return [_Command(BIND, [self._projects]), *commands]

    def _send_with_deferred(self, commands: list[_Command]) -> list[PGresult]:
        try:
            return self._send(self._with_deferred(commands))
        finally:
            if not self._is_in_transaction:
                self._bound_to = NO_PROJECT  # it ended with the message

    def _with_deferred(self, commands: list[_Command]) -> list[_Command]:
        if self._deferred:
            commands = [*self._deferred, *commands]
            self._deferred.clear()
        if self._deadline is not None:
            commands = [_limited_to(self._deadline), *commands]
        if self._begin_with is not None:
            commands = [_Command(self._begin_with), *commands]
            self._begin_with = None
            self._is_in_transaction = True
        return commands

    def _send(self, commands: Sequence[_Command]) -> list[PGresult]:
        names = [self._prepare(command.statement) for command in commands]
        try:
            if len(commands) == 1:
                results = [self._send_one(names[0], commands[0])]
            else:
                results = self._send_pipeline(names, commands)
        except psycopg.Error as error:
            raise self._lost(error) from error
        for result in results:
            self._check(result)
        return results

    def _send_one(self, name: bytes | None, command: _Command) -> PGresult:
        self._queue(name, command)
        self._flush()
        return self._only_result()

    def _send_pipeline(
        self, names: Sequence[bytes | None], commands: Sequence[_Command]
    ) -> list[PGresult]:
        self._pq.enter_pipeline_mode()
        for name, command in zip(names, commands, strict=True):
            self._queue(name, command)
        self._pq.pipeline_sync()
        self._flush()
        results = [self._only_result() for _ in commands]
        self._next_result()  # PIPELINE_SYNC
        self._pq.exit_pipeline_mode()
        return results

    def _queue(self, name: bytes | None, command: _Command) -> None:
        statement, values = command
        if name is None:
            self._pq.send_query_params(
                statement.sql, values, statement.types, statement.formats, pq.Format.BINARY
            )
        else:
            self._pq.send_query_prepared(name, values, statement.formats, pq.Format.BINARY)

    def _prepare(self, statement: Statement) -> bytes | None:
        """Prepare a statement at its first use; return its name, or None for one without."""
        if not statement.is_prepared:
            return None
        name = self._prepared.get(statement.sql)
        if name is None:
            name = b"s%d" % len(self._prepared)
            try:
                self._pq.send_prepare(name, statement.sql, statement.types)
                self._flush()
                result = self._only_result()
            except psycopg.Error as error:
                raise self._lost(error) from error
            self._check(result)
            self._prepared[statement.sql] = name
        return name

    def _flush(self) -> None:
        while self._pq.flush():
            self._waiter.wait_ready(self._socket, to_write=True)
            # The server may be waiting for us to read its results before it reads more.
            self._pq.consume_input()

    def _only_result(self) -> PGresult:
        result = self._next_result()
        if result is None:
            raise psycopg.OperationalError("the connection ended before the result was complete")
        self._next_result()  # None: there are no more results of this statement
        return result

    def _next_result(self) -> PGresult | None:
        while self._pq.is_busy():
            self._waiter.wait_ready(self._socket, to_write=False)
            self._pq.consume_input()
        return self._pq.get_result()

    def _on_server_close(self) -> None:
        # Input between two statements: nearly always the server closes the connection.
        try:
            self._pq.consume_input()
        except psycopg.Error:
            self.close()

    def _lost(self, error: psycopg.Error) -> ConnectionLostError:
        if isinstance(error, StatementAbandonedError):
            # The server would notice that the connection has ended only when it sends the result.
            with suppress(psycopg.Error):
                self._psycopg.cancel_safe(timeout=_CANCEL_TIMEOUT_S)
        self.close()
        return ConnectionLostError(str(error))

    def _check(self, result: PGresult) -> None:
        if result.status in _SUCCESS:
            return
        message = result.get_error_message()
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        is_lost = self._pq.status != pq.ConnStatus.OK or sqlstate in _CLOSES_CONNECTION
        if is_lost or not sqlstate:
            self.close()
            raise ConnectionLostError(message)
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b""
        raise SqlError(sqlstate, message, primary.decode(errors="replace"))


def _limited_to(deadline: Deadline) -> _Command:
    """Return the command that gives the next statement what is left of a deadline.

    Raises:
        Unavailable: nothing is left.
    """
    deadline.check()
    left_s = deadline.left_s
    limit_ms = 0 if left_s == inf else max(1, ceil(left_s * 1000))
    return _Command(_LIMIT_STATEMENTS, [b"%d" % limit_ms])


def _connect_with_settings(url: str, schema: str | None, settings: str) -> psycopg.Connection[Any]:
    # Psycopg's shortest time-out is two seconds, so a single server is probed first. Of several
    # servers, psycopg tries one after another.
    if "," not in str(conninfo_to_dict(url).get("host")) and not is_responding(url):
        raise unresponsive()
    connection = connect(url, schema)
    try:
        execute_promptly(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection
