"""The tests' own little table on PostgreSQL, and ways to look at it past the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, LiteralString

import psycopg

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
-- Whether there is such a note is looked at by COMMIT.
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
-- Takes as long as it is told.
SELECT count(*) FROM pg_sleep(:seconds);

-- name: backend
SELECT pg_backend_pid();

-- name: given_back
SELECT :value::text, pg_backend_pid()::text;

-- name: setting
SELECT current_setting(:name);

-- name: wait_at_gate
SELECT count(*) FROM pg_advisory_xact_lock_shared(:gate);

-- name: delete_statements
DEALLOCATE ALL;
"""

QUERIES: dict[str, Query] = load_queries("postgres") | {
    name: Query(text) for (_, name), text in parse_queries(_SQL).items()
}


def make(tx: Transaction) -> None:
    """The table."""
    tx.execute("make_notes")


def note(text: str) -> Operation[str]:
    """An operation that writes a note and gives its text."""

    def write(tx: Transaction) -> str:
        tx.execute("add_note", text=text, now_at=tx.now)
        return text

    return write


def count(tx: Transaction) -> int:
    """How many notes there are."""
    return tx.fetch_one("count_notes", int) or 0


def backend(tx: Transaction) -> int:
    """The number of the server's process at the other end."""
    return tx.fetch_one("backend", int) or 0


def setting(name: str) -> Operation[str | None]:
    """What a setting is on the engine's connection."""
    return lambda tx: tx.fetch_one("setting", str, name=name)


def search(seconds: float) -> Operation[int | None]:
    """A statement that takes so long."""
    return lambda tx: tx.fetch_one("search", int, seconds=str(seconds))


def noted(engine: PostgresEngine) -> list[str]:
    """All notes that a reader sees."""
    return engine.read(lambda tx: tx.fetch_all("notes", str))


def rows(url: str, sql: LiteralString, *values: Any) -> list[Any]:
    """What a statement gives on a connection that is not the engine's."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def noted_in(url: str) -> list[str]:
    """All notes in the database, as another program sees them."""
    return [text for (text,) in rows(url, "SELECT text FROM notes ORDER BY id")]


def terminate(url: str, backend_pid: int) -> None:
    """Break the connection of one of the server's processes, and wait until it is gone."""
    [(is_gone,)] = rows(url, "SELECT pg_terminate_backend(%s, 10000)", backend_pid)
    assert is_gone


def connections(url: str, application_name: str) -> int:
    """How many connections of that name there are to the database."""
    [(number,)] = rows(
        url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        application_name,
    )
    return int(number)


@contextmanager
def gate_closed(url: str) -> Iterator[None]:
    """While this lasts every operation that comes to `wait_at_gate` waits there, in its lane."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_GATE])
        yield


def wait_at_gate(tx: Transaction) -> None:
    """Pass the gate, once it is open."""
    tx.fetch_one("wait_at_gate", int, gate=_GATE)


def wait_until_at_gate(url: str, number: int) -> None:
    """Return once so many operations wait at the gate."""
    ends = monotonic() + 20
    while rows(url, _WAITING_AT_GATE) != [(number,)]:
        assert monotonic() < ends, f"{rows(url, _WAITING_AT_GATE)} wait at the gate, not {number}"
        sleep(0.01)


_GATE = 42
_WAITING_AT_GATE = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
