"""Connecting to a PostgreSQL server with psycopg, and explaining why that failed."""

import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from userkeep.domain.errors import StorageError
from userkeep.storage.postgres.schema_of_tables import find_schema, search_path

CONNECT_TIMEOUT_S = 2
PROBE_TIMEOUT_S = 0.6
MIN_SERVER_VERSION = 140_000

# Used where the URL does not set them. The keep-alive settings detect a server that vanished.
_DEFAULTS = {
    "application_name": "userkeep",
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "tcp_user_timeout": "10000",
}


# The type of a connection is hidden from roles that may not see it.
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND coalesce(backend_type, 'client backend') = 'client backend'
"""


def connect(url: str, schema: str | None = None) -> psycopg.Connection[Any]:
    """Connect with psycopg, and check the server's version and encoding.

    Args:
        url: of the database.
        schema: of our tables, if it is known; names without a schema are those of this one alone.

    Raises:
        psycopg.Error: the server cannot be reached, or rejects the connection.
        StorageError: the server's version or encoding is not supported, or the schema of our tables
            may be another role's.
    """
    given = conninfo_to_dict(url)
    defaults = {name: value for name, value in _DEFAULTS.items() if name not in given}
    # All values are sent as UTF-8, whatever the database, the role or PGCLIENTENCODING set.
    conninfo = make_conninfo(url, **defaults, client_encoding="UTF8")
    connection = psycopg.connect(conninfo, autocommit=True)
    try:
        _check_server(connection)
        schema = schema or find_schema(connection)
        if schema is not None:
            execute_promptly(connection, search_path(schema))
    except BaseException:
        connection.close()
        raise
    return connection


def execute_promptly(connection: psycopg.Connection[Any], statements: str) -> None:
    """Run statements that take no time; psycopg would wait for ever if the server hangs.

    Raises:
        psycopg.OperationalError: one failed, or the server does not respond.
    """
    pgconn = connection.pgconn
    pgconn.send_query(statements.encode())
    pgconn.flush()
    ready, ends_at = select.poll(), monotonic() + CONNECT_TIMEOUT_S
    ready.register(pgconn.socket, select.POLLIN)
    while True:
        while pgconn.is_busy():
            if not ready.poll(max(0, ends_at - monotonic()) * 1000):
                raise unresponsive()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return
        if result.status not in _SUCCESS:
            raise psycopg.OperationalError(result.get_error_message())


def unresponsive() -> psycopg.OperationalError:
    """Return the error for a server that does not respond, even to new connections."""
    return psycopg.OperationalError("the server does not respond")


@contextmanager
def open_for_inspection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect for a command that inspects the database.

    Raises:
        StorageError: explains what is wrong and what to do.
    """
    try:
        with connect(url) as connection:
            yield connection
    except psycopg.Error as error:
        raise StorageError(opening_problem(error, url)) from error


def count_others(url: str) -> int:
    """Return how many other connections of clients the database has.

    Raises:
        StorageError: it cannot be reached.
    """
    with open_for_inspection(url) as connection:
        row = connection.execute(_OTHERS).fetchone()
        return int(row[0]) if row is not None else 0


def is_responding(url: str) -> bool:
    """Return whether the server replies to a new connection within a short time.

    A rejection is a reply too.
    """
    probe = pq.PGconn.connect_start(url.encode())
    deadline = monotonic() + PROBE_TIMEOUT_S
    try:
        while (status := probe.connect_poll()) in _CONNECTING:
            ready = select.poll()
            ready.register(probe.socket, _CONNECTING[status])
            if not ready.poll(max(0, deadline - monotonic()) * 1000):
                return False
    finally:
        probe.finish()
    return True


_SUCCESS = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
_CONNECTING: dict[int, int] = {
    pq.PollingStatus.READING: select.POLLIN,
    pq.PollingStatus.WRITING: select.POLLOUT,
}


def _check_server(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < MIN_SERVER_VERSION:
        raise StorageError(
            f"PostgreSQL {MIN_SERVER_VERSION // 10_000} or newer is needed; "
            f"this is {server_version(connection)}."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"The database's encoding is {encoding}, which cannot store every text. "
            "Create one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


def server_version(connection: psycopg.Connection[Any]) -> str:
    """Return the server's version, such as `18.4`."""
    return (connection.info.parameter_status("server_version") or "?").partition(" ")[0]


def opening_problem(error: psycopg.Error, url: str) -> str:
    """Explain to an operator why the database could not be used, and what to do."""
    where = describe_url(url)
    reason = str(error).partition("\n")[0].removeprefix("connection failed: ")
    if isinstance(error, psycopg.ProgrammingError):
        reason = _QUOTED.sub(lambda match: match[0] if match[1] else '"…"', reason)
        return f"USERKEEP_DATABASE_URL is not one that PostgreSQL understands: {reason}."
    advice = _OTHERS_CONNECTED if _TOO_MANY.search(reason) else _NOT_CONNECTED
    return f"PostgreSQL at {where} cannot be used: {reason.rstrip('.')}. {advice}"


_NOT_CONNECTED = (
    "Check that it is running, that the database exists, and that this user may connect."
)
_OTHERS_CONNECTED = (
    "It runs, and has no free connection: close those of other programs, raise max_connections, or "
    "lower USERKEEP_POSTGRES_POOL_SIZE of every server."
)

# PostgreSQL's words for a full server, role or database, and PgBouncer's.
_TOO_MANY = re.compile(
    "too many (clients|connections)|remaining connection slots|no more connections allowed"
)


# The quoted part of a URL that cannot be parsed may be its password: show only names of options.
_QUOTED = re.compile(r'(option |parameter: )?"[^"]*"')


def describe_url(url: str) -> str:
    """Return the host and the database of a URL, without its password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "the given URL"
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = f":{given['port']}" if given.get("port") else ""
    return f"{host}{port}/{given.get('dbname') or given.get('user') or ''}"
