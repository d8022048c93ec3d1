"""A small table for tests of the PostgreSQL engine, and helpers that bypass the engine."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from tests.postgres import postgres_server
from userkeep.domain.transaction import Operation, Transaction
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.queries import Query, load_queries, parse_queries

_SQL = """
-- name: make_notes
CREATE TABLE notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    answers bigint REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED,
    text text NOT NULL CHECK (text <> ''),
    key text UNIQUE,
    written_at timestamptz
);

-- name: add_note
INSERT INTO notes (text, written_at) VALUES (:text, :now_at);

-- name: add_note_once
INSERT INTO notes (text, key) VALUES (:text, :key);

-- name: answer_note
-- The foreign key is checked by COMMIT.
INSERT INTO notes (answers, text) VALUES (:answers, :text);

-- name: change_note
UPDATE notes SET text = text || :more WHERE id = :id;

-- name: notes
SELECT text FROM notes ORDER BY id;

-- name: whole_notes
SELECT * FROM notes ORDER BY id;

-- name: has_key
SELECT 1 FROM notes WHERE key = :key;

-- name: times
SELECT written_at FROM notes ORDER BY id;

-- name: count_notes
SELECT count(*) FROM notes;

-- name: search
-- Takes :seconds.
SELECT count(*) FROM pg_sleep(:seconds);

-- name: backend
SELECT pg_backend_pid();

-- name: echo
SELECT :value::text, pg_backend_pid()::text;

-- name: setting
SELECT current_setting(:name);

-- name: statement_limit
SELECT CAST(setting AS integer) FROM pg_settings WHERE name = 'statement_timeout';

-- name: wait_at_gate
-- Asks again and again, because an engine does not let many operations wait for a lock.
WITH RECURSIVE at_gate AS (
    SELECT pg_try_advisory_xact_lock_shared(:gate) AS is_open, pg_sleep(0)
    UNION ALL
    SELECT pg_try_advisory_xact_lock_shared(:gate), pg_sleep(0.005) FROM at_gate WHERE NOT is_open
)
SELECT count(*) FROM at_gate;

-- name: make_temporary_projects
CREATE TEMPORARY TABLE projects (project_id bigint);

-- name: deallocate_all
DEALLOCATE ALL;
"""

QUERIES: dict[str, Query] = load_queries("postgres") | {
    name: Query(text) for (_, name), text in parse_queries(_SQL).items()
}


def create_table(tx: Transaction) -> None:
    """Create the table."""
    tx.execute("make_notes")


def add_note(text: str) -> Operation[str]:
    """Return an operation that adds a note and returns its text."""

    def write(tx: Transaction) -> str:
        tx.execute("add_note", text=text, now_at=tx.now)
        return text

    return write


def count(tx: Transaction) -> int:
    """Return the number of notes."""
    return tx.fetch_one("count_notes", int) or 0


def backend_pid(tx: Transaction) -> int:
    """Return the process id of the connection's backend."""
    return tx.fetch_one("backend", int) or 0


def setting(name: str) -> Operation[str | None]:
    """Return an operation that reads a setting of the engine's connection."""
    return lambda tx: tx.fetch_one("setting", str, name=name)


def search(seconds: float) -> Operation[int | None]:
    """Return an operation whose statement takes this long."""
    return lambda tx: tx.fetch_one("search", int, seconds=str(seconds))


def read_notes(engine: PostgresEngine) -> list[str]:
    """Return all notes that a reader sees."""
    return engine.read(lambda tx: tx.fetch_all("notes", str))


def rows(url: str, statement: LiteralString, *values: Any) -> list[Any]:
    """Run a statement on a connection that is not the engine's; return its rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def notes_in_database(url: str) -> list[str]:
    """Return all notes in the database, as another program sees them."""
    return [text for (text,) in rows(url, "SELECT text FROM notes ORDER BY id")]


def terminate(url: str, backend_pid: int) -> None:
    """Terminate a backend of the server, and wait until it has ended."""
    [(is_gone,)] = rows(url, "SELECT pg_terminate_backend(%s, 10000)", backend_pid)
    assert is_gone


def connection_count(url: str, application_name: str) -> int:
    """Return the number of connections with this application name to the database."""
    [(number,)] = rows(
        url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        application_name,
    )
    return int(number)


@contextmanager
def new_role(options: LiteralString = "") -> Iterator[str]:
    """Create a role that may log in and is not a superuser; drop it at the end."""
    server, role = postgres_server(), f"userkeep_test_{secrets.token_hex(8)}"
    create = sql.SQL("CREATE ROLE {} LOGIN " + options)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(role)))
        try:
            yield role
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextmanager
def owned_database(role: str) -> Iterator[str]:
    """Create a database that belongs to a role; drop it at the end, because the role may not."""
    server = postgres_server()
    url = server.new_database()
    execute(url, "ALTER DATABASE {} OWNER TO {}", database_name(url), role)
    execute(url, "ALTER SCHEMA public OWNER TO {}", role)
    try:
        yield url
    finally:
        server.drop_database(url)


def database_name(url: str) -> str:
    """Return the name of the database of a URL."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def execute(url: str, statement: LiteralString, *names: str) -> None:
    """Run a statement with names in place of each `{}`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def gate_closed(url: str) -> Iterator[None]:
    """Block every operation that calls `wait_at_gate`; it keeps its connection."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_GATE])
        yield


def wait_at_gate(tx: Transaction) -> None:
    """Wait until the gate is open."""
    tx.fetch_one("wait_at_gate", int, gate=_GATE)


def wait_until_at_gate(url: str, number: int) -> None:
    """Return when this many operations wait at the gate."""
    ends = monotonic() + 60
    while rows(url, _WAITING_AT_GATE) != [(number,)]:
        assert monotonic() < ends, f"{rows(url, _WAITING_AT_GATE)} wait at the gate, not {number}"
        sleep(0.01)


_GATE = 42
_WAITING_AT_GATE = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
    AND query LIKE '%at_gate WHERE NOT is_open%'
"""
