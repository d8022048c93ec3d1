"""The floor of a search: the statements that the product ran for it, through the bare driver.

The product is asked in this process while its statements and their values are written down; then
they are run again one after the other, all rows being fetched, and nothing is made of them. So it
needs no knowledge of the schema. What the product does between its statements (words, ranking,
JSON, HTTP) is what it adds to this floor.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import apsw
from psycopg import pq

from userkeep.storage.postgres.server import connect as connect_postgres
from userkeep.storage.postgres.statements import RowLoader, Statement, parameters
from userkeep.storage.postgres.transaction import (
    NeedsSnapshotError,
    PostgresTransaction,
    SingleStatement,
)
from userkeep.storage.sqlite.connection import connect as connect_sqlite

Noted = list[tuple[Any, Any]]
"""Statements with their values, as the driver takes them."""

_READS = re.compile(r"\s*(SELECT|WITH|VALUES)\b", re.IGNORECASE)
_SETTINGS = b"SET jit = off"


class Replay(Protocol):
    """The bare driver on one connection."""

    def run(self, noted: Noted) -> int:
        """Run statements again; how many rows came."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


class SqliteReplay:
    """See Replay."""

    def __init__(self, path: str) -> None:
        self._connection = connect_sqlite(path, read_only=True)
        self._cursor = self._connection.cursor()

    def run(self, noted: Noted) -> int:
        """See Replay."""
        return sum(len(self._cursor.execute(text, values).fetchall()) for text, values in noted)

    def close(self) -> None:
        """See Replay."""
        self._connection.close()


@contextmanager
def noting_sqlite() -> Iterator[Noted]:
    """Notes what is read on every connection that is opened meanwhile."""
    noted: Noted = []

    def note(_cursor: apsw.Cursor, text: str, values: Any) -> bool:
        if _READS.match(text):
            noted.append((text, values))
        return True

    def hook(connection: apsw.Connection) -> None:
        connection.exec_trace = note

    apsw.connection_hooks.append(hook)
    try:
        yield noted
    finally:
        apsw.connection_hooks.remove(hook)


class PostgresReplay:
    """See Replay. Each statement is prepared once, and its rows come in binary."""

    def __init__(self, url: str) -> None:
        self._connection = connect_postgres(url)
        self._reader = RowLoader(self._connection)
        self._pq = self._connection.pgconn
        self._pq.exec_(_SETTINGS)
        self._prepared: dict[bytes, bytes] = {}

    def run(self, noted: Noted) -> int:
        """See Replay."""
        return sum(self._rows(statement, values) for statement, values in noted)

    def close(self) -> None:
        """See Replay."""
        self._connection.close()

    def _rows(self, statement: Statement, values: Mapping[str, Any]) -> int:
        name = self._prepared.get(statement.sql) or self._prepare(statement)
        given = parameters(statement, values)
        # Its hints know no NULL among parameters.
        result = self._pq.exec_prepared(
            name,
            given,  # type: ignore[arg-type]
            statement.formats,
            pq.Format.BINARY,
        )
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise SystemExit(f"PostgreSQL refused {statement.sql!r}: {result.get_error_message()}")
        return len(self._reader.rows(result))

    def _prepare(self, statement: Statement) -> bytes:
        name = b"replay%d" % len(self._prepared)
        self._pq.prepare(name, statement.sql, statement.types)
        self._prepared[statement.sql] = name
        return name


AskedFor = tuple[Statement, dict[str, Any]]
"""A statement and its values, as a transaction makes them of a query."""


@contextmanager
def noting_postgres() -> Iterator[Noted]:
    """Notes what is read in every transaction meanwhile."""
    noted: Noted = []
    of_any, of_single = PostgresTransaction._asked, SingleStatement._asked

    def note(self: PostgresTransaction, query: str, values: dict[str, Any]) -> AskedFor:
        asked = of_any(self, query, values)
        if _READS.match(asked[0].sql.decode()):
            noted.append(asked)
        return asked

    def note_single(self: SingleStatement, query: str, values: dict[str, Any]) -> AskedFor:
        try:
            return of_single(self, query, values)
        except NeedsSnapshotError:
            noted.clear()  # it runs again, in a transaction
            raise

    PostgresTransaction._asked = note  # type: ignore[method-assign]
    SingleStatement._asked = note_single  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        PostgresTransaction._asked = of_any  # type: ignore[method-assign]
        SingleStatement._asked = of_single  # type: ignore[method-assign]


def taken(noted: Noted) -> Noted:
    """What was noted, which is deleted."""
    came = list(noted)
    noted.clear()
    return came
