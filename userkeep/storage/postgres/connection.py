"""One connection to PostgreSQL, and what its errors mean.

Psycopg connects (URL, TLS, authentication) and converts; statements go through its wrapper of
libpq, `psycopg.pq`, because each is prepared once and runs thousands of times: a write of two
statements takes a third of the processor time that cursors need. Nothing here blocks once the
connection is made: what has to wait asks its `Waiting`.
"""

import re
import select
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.storage.postgres.statements import NO_PARAMETERS, Reader, Statement, parameters
from userkeep.storage.postgres.waiting import Waiting, silent

CONNECT_S = 2
ANSWER_S = 0.6
LEAST_VERSION = 140_000
AWAY = "The database cannot be reached now; try again in a moment."

_BEGIN_WRITE = Statement(b"BEGIN ISOLATION LEVEL READ COMMITTED", (), (), ())
_BEGIN_READ = Statement(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", (), (), ())
_COMMIT = Statement(b"COMMIT", (), (), ())
_ROLLBACK = Statement(b"ROLLBACK", (), (), ())

# What a URL may say otherwise. A server that has vanished without a word is noticed.
_DEFAULTS = {
    "application_name": "userkeep",
    "connect_timeout": str(CONNECT_S),
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "tcp_user_timeout": "10000",
}

# synchronous_commit: a commit is on the disk before it is answered, whatever the server's default.
# jit: compiling costs more than any of these statements.
_SETTINGS = """
SET statement_timeout = {statement_limit_ms};
SET idle_in_transaction_session_timeout = 60000;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
"""


class SqlError(Exception):
    """PostgreSQL refused a statement.

    Attributes:
        sqlstate: the five characters that say why; texts differ between versions and on shards.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(f"{message.strip()} ({sqlstate})")


class ConnectionLostError(Exception):
    """The connection broke.

    Attributes:
        is_committing: a COMMIT was under way: whether it happened, nobody knows.
    """

    def __init__(self, message: str, *, is_committing: bool = False) -> None:
        self.is_committing = is_committing
        super().__init__(message.strip())


class _Command(NamedTuple):
    statement: Statement
    values: Sequence[bytes | None] = NO_PARAMETERS


class Connection:
    """A connection on which each statement that is kept is prepared at its first use.

    A transaction begins with its first statement, in the same message; and what nobody asks for
    the result of waits for the next statement, or for COMMIT, to go with it.
    """

    def __init__(
        self,
        url: str,
        waiting: Waiting,
        *,
        statement_limit_ms: int,
        is_answering: Callable[[str], bool] = lambda _server: True,
    ) -> None:
        """Connect.

        Args:
            is_answering: asked where the server at an address has been silent for long.

        Raises:
            psycopg.Error: there is no such server, or it does not let us in.
            StorageError: it is not one that can be used.
        """
        self._waiting = waiting
        self._psycopg = waiting.make(lambda: _connect_with_settings(url, statement_limit_ms))
        self._reader = Reader(self._psycopg)
        self._pq = self._psycopg.pgconn
        self._pq.nonblocking = 1
        self._prepared: dict[bytes, bytes] = {}
        self._to_begin: Statement | None = None
        self._is_in_transaction = False
        self._unsent: list[_Command] = []
        self._is_closed = False
        self._socket = self._pq.socket
        waiting.watch(self._socket, self._hear_goodbye, partial(is_answering, self._server(url)))

    def begin(self, *, to_write: bool) -> None:
        """Let the next statement begin a transaction: one that writes, or one snapshot to read."""
        self._to_begin = _BEGIN_WRITE if to_write else _BEGIN_READ

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement; its rows."""
        return self._reader.rows(self._last(_Command(statement, parameters(statement, values))))

    def execute(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Run a statement; how many rows it changed."""
        result = self._last(_Command(statement, parameters(statement, values)))
        return result.command_tuples or 0

    def execute_many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run a statement once per row of values, in one message; how many rows changed in all."""
        commands = [_Command(statement, parameters(statement, row)) for row in rows]
        if not commands:
            return 0
        results = self._send(self._with_unsent(commands))
        return sum(result.command_tuples or 0 for result in results[-len(commands) :])

    def run_later(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement once per row of values, at the latest before COMMIT."""
        self._unsent += [_Command(statement, parameters(statement, row)) for row in rows]

    def commit(self) -> None:
        """End the transaction, if it has begun: when this returns, it is on the disk.

        Raises:
            SqlError, ConnectionLostError.
        """
        if not self._is_in_transaction and not self._unsent:
            self._to_begin = None
            return
        try:
            committed = self._last(_Command(_COMMIT))
        except ConnectionLostError as error:
            raise ConnectionLostError(str(error), is_committing=True) from error
        except SqlError:
            self._is_in_transaction = self._pq.transaction_status != pq.TransactionStatus.IDLE
            self.rollback()
            raise
        self._is_in_transaction = False
        if committed.command_status == b"ROLLBACK":
            # To PostgreSQL that is a success.
            raise SqlError(_FAILED_BEFORE, "a statement was refused, and its operation went on")

    def rollback(self) -> None:
        """End the transaction as if it had never been; a broken connection has done so itself."""
        self._to_begin = None
        self._unsent.clear()
        if not self._is_in_transaction:
            return
        self._is_in_transaction = False
        try:
            self._send([_Command(_ROLLBACK)])
        except (SqlError, ConnectionLostError):
            self.close()

    @property
    def handle(self) -> PGconn:
        """The connection as libpq has it, for who speaks to the server in a way of its own."""
        return self._pq

    @property
    def reader(self) -> Reader:
        """What makes rows of its results."""
        return self._reader

    @property
    def version(self) -> str:
        """The server's version, such as `18.4`."""
        return version_of(self._psycopg)

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be used any more."""
        return self._is_closed

    def close(self) -> None:
        """Let go of it."""
        if not self._is_closed:
            self._is_closed = True
            self._waiting.delete(self._socket)
            self._psycopg.close()

    def _server(self, url: str) -> str:
        """The address of the very server, where the URL names several."""
        given = {"host": self._pq.host, "hostaddr": self._pq.hostaddr, "port": self._pq.port}
        return make_conninfo(
            url, **{name: value.decode() for name, value in given.items() if value}
        )

    def _last(self, command: _Command) -> PGresult:
        return self._send(self._with_unsent([command]))[-1]

    def _with_unsent(self, commands: list[_Command]) -> list[_Command]:
        if self._unsent:
            commands = [*self._unsent, *commands]
            self._unsent.clear()
        if self._to_begin is not None:
            commands = [_Command(self._to_begin), *commands]
            self._to_begin = None
            self._is_in_transaction = True
        return commands

    def _send(self, commands: Sequence[_Command]) -> list[PGresult]:
        names = [self._name(command.statement) for command in commands]
        try:
            if len(commands) == 1:
                results = [self._send_alone(names[0], commands[0])]
            else:
                results = self._send_together(names, commands)
        except psycopg.Error as error:
            raise self._lost(error) from error
        for result in results:
            self._check(result)
        return results

    def _send_alone(self, name: bytes | None, command: _Command) -> PGresult:
        self._hand_over(name, command)
        self._flush()
        return self._only_result()

    def _send_together(
        self, names: Sequence[bytes | None], commands: Sequence[_Command]
    ) -> list[PGresult]:
        self._pq.enter_pipeline_mode()
        for name, command in zip(names, commands, strict=True):
            self._hand_over(name, command)
        self._pq.pipeline_sync()
        self._flush()
        results = [self._only_result() for _ in commands]
        self._result()  # the end of the pipeline
        self._pq.exit_pipeline_mode()
        return results

    def _hand_over(self, name: bytes | None, command: _Command) -> None:
        statement, values = command
        if name is None:
            self._pq.send_query_params(
                statement.sql, values, statement.types, statement.formats, pq.Format.BINARY
            )
        else:
            self._pq.send_query_prepared(name, values, statement.formats, pq.Format.BINARY)

    def _name(self, statement: Statement) -> bytes | None:
        if not statement.is_kept:
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
            self._waiting.until_ready(self._socket, to_write=True)
            self._pq.consume_input()  # else a server that waits for us to read never reads more

    def _only_result(self) -> PGresult:
        result = self._result()
        if result is None:
            raise psycopg.OperationalError("the connection ended in the middle of an answer")
        self._result()  # None: no more results of this statement
        return result

    def _result(self) -> PGresult | None:
        while self._pq.is_busy():
            self._waiting.until_ready(self._socket, to_write=False)
            self._pq.consume_input()
        return self._pq.get_result()

    def _hear_goodbye(self) -> None:
        try:
            self._pq.consume_input()
        except psycopg.Error:
            self.close()

    def _lost(self, error: psycopg.Error) -> ConnectionLostError:
        self.close()
        return ConnectionLostError(str(error))

    def _check(self, result: PGresult) -> None:
        if result.status in _WELL:
            return
        message = result.get_error_message()
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        is_lost = self._pq.status != pq.ConnStatus.OK or sqlstate in _ENDS_CONNECTION
        if is_lost or not sqlstate:
            self.close()
            raise ConnectionLostError(message)
        raise SqlError(sqlstate, message)


_FAILED_BEFORE = "25P02"

_WELL = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})

_ENDS_CONNECTION = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03"})
"""Shut down by somebody, crash of a neighbour, starting up, idle for too long."""


def _connect_with_settings(url: str, statement_limit_ms: int) -> psycopg.Connection[Any]:
    # Psycopg waits for two seconds at least, and tries the next of several servers after that.
    if "," not in str(conninfo_to_dict(url).get("host")) and not answers(url):
        raise silent()
    connection = connect(url)
    try:
        connection.execute(_SETTINGS.format(statement_limit_ms=statement_limit_ms))
    except BaseException:
        connection.close()
        raise
    return connection


def connect(url: str) -> psycopg.Connection[Any]:
    """A psycopg connection, checked: PostgreSQL of a version and an encoding that we can use.

    Raises:
        psycopg.Error: there is no such server, or it does not let us in.
        StorageError: it is not one that can be used.
    """
    given = conninfo_to_dict(url)
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in given}
    # Our values travel as UTF-8, whatever the database, the user or PGCLIENTENCODING say.
    conninfo = make_conninfo(url, **defaults, client_encoding="UTF8")
    connection = psycopg.connect(conninfo, autocommit=True)
    try:
        _check_server(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def answers(url: str) -> bool:
    """Whether a server says anything to a new caller within a short time, be it a refusal."""
    caller = pq.PGconn.connect_start(url.encode())
    ends = monotonic() + ANSWER_S
    try:
        while (status := caller.connect_poll()) in _CONNECTING:
            ready = select.poll()
            ready.register(caller.socket, _CONNECTING[status])
            if not ready.poll(max(0, ends - monotonic()) * 1000):
                return False
    finally:
        caller.finish()
    return True


_CONNECTING: dict[int, int] = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}


@contextmanager
def looking_into(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection for somebody who looks, and does not serve.

    Raises:
        StorageError: with a sentence that says what is wrong and what to do.
    """
    try:
        with connect(url) as connection:
            yield connection
    except psycopg.Error as error:
        raise StorageError(opening_problem(error, url)) from error


def _check_server(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < LEAST_VERSION:
        raise StorageError(
            f"PostgreSQL {LEAST_VERSION // 10_000} or newer is needed; "
            f"this is {version_of(connection)}."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"The database's encoding is {encoding}, which cannot hold every text. "
            "Make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


def version_of(connection: psycopg.Connection[Any]) -> str:
    """The server's version, such as `18.4`."""
    return (connection.info.parameter_status("server_version") or "?").partition(" ")[0]


def opening_problem(error: psycopg.Error, url: str) -> str:
    """A sentence for somebody who starts a server: what is wrong, what to do."""
    where = place_of(url)
    reason = str(error).partition("\n")[0].removeprefix("connection failed: ")
    if isinstance(error, psycopg.ProgrammingError):
        reason = _QUOTED.sub(lambda match: match[0] if match[1] else '"…"', reason)
        return f"USERKEEP_DATABASE_URL is not one that PostgreSQL understands: {reason}."
    return (
        f"PostgreSQL at {where} cannot be used: {reason.rstrip('.')}. "
        "See that it runs, that the database is there, and that this user may connect."
    )


# What a URL cannot be read for may be the password in it; only names of options are shown.
_QUOTED = re.compile(r'(option |parameter: )?"[^"]*"')


def place_of(url: str) -> str:
    """Which database on which host, without a password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "the given URL"
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = f":{given['port']}" if given.get("port") else ""
    return f"{host}{port}/{given.get('dbname') or given.get('user') or ''}"


_WHY_UNAVAILABLE = {
    "53": "The database has no room or no connection left; nothing was changed.",
    "54": "The statement is too large for the database; nothing was changed.",
    "57": "The operation was stopped before its end; nothing was changed.",
    "58": "The database's disk failed; nothing was changed.",
    "40": "Too many writes met at the same place; try again in a moment.",
    "08": AWAY,
    "25006": "The database can only be read now; try again in a moment.",
    "55": "The database is being changed by its keeper; try again in a moment.",
}


def refusal(error: SqlError) -> Unavailable | None:
    """What a client is told of what the database met, or None where it is our fault."""
    sentence = _WHY_UNAVAILABLE.get(error.sqlstate) or _WHY_UNAVAILABLE.get(error.sqlstate[:2])
    return None if sentence is None else Unavailable(sentence)
