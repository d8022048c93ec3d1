"""Evaluate filters on single documents, without a table."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import apsw

from tests.postgres import postgres_server
from userkeep.domain.values.filters import Node
from userkeep.storage.filters import with_filter
from userkeep.storage.postgres.connection import Connection
from userkeep.storage.postgres.filters import PostgresFilterCompiler
from userkeep.storage.postgres.statements import unprepared_statement
from userkeep.storage.postgres.waiter import BlockingWaiter
from userkeep.storage.sqlite.filters import SqliteFilterCompiler

Find = Callable[[Node, Any], bool]

_SQL = "SELECT 1 FROM (SELECT CAST(:document AS {type}) AS metadata) AS rows WHERE {filter}"


@contextmanager
def finding_on_sqlite() -> Iterator[Find]:
    """Yield a function that returns whether a document matches on SQLite; None: no metadata."""
    sql = _SQL.replace("{type}", "TEXT")
    with closing(apsw.Connection(":memory:")) as connection:

        def find(node: Node, document: Any) -> bool:
            values = {"filter": node, "document": as_stored(document)}
            text, values = with_filter(sql, values, SqliteFilterCompiler())
            return bool(connection.execute(text, values).fetchall())

        yield find


@contextmanager
def finding_on_postgres() -> Iterator[Find]:
    """Yield a function that returns whether a document matches on PostgreSQL; None: no metadata."""
    sql = _SQL.replace("{type}", "jsonb")
    with postgres_connection() as connection:

        def find(node: Node, document: Any) -> bool:
            values = {"filter": node, "document": as_stored(document)}
            text, values = with_filter(sql, values, PostgresFilterCompiler())
            return bool(connection.fetch(unprepared_statement(text), values))

        yield find


@contextmanager
def postgres_connection() -> Iterator[Connection]:
    """Connect to an empty database, as a worker of the connection pool does."""
    url = postgres_server().new_database()
    connection = Connection(url, BlockingWaiter(), statement_limit_ms=5_000)
    with closing(connection):
        yield connection


def as_stored(document: Any) -> str | None:
    """Return metadata as it is stored."""
    return None if document is None else json.dumps(document, ensure_ascii=False)
