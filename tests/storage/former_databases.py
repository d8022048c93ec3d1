"""Databases as earlier versions left them: each schema from the first on, with rows in it."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg.types.json import Jsonb

from tests.postgres import postgres_server
from userkeep.storage.engine import Dialect
from userkeep.storage.migrations import load_migrations
from userkeep.storage.sqlite.connection import connect

SECRET = "x" * 64
FIRST, MESSAGES, SESSIONS, KEYS, PROJECTS, QUOTAS, _, ASSIGNED, _, _, EMBEDDINGS, DOCUMENTS = range(
    1, 13
)
DOCUMENT_QUOTAS = 14
"""The versions of the schema that brought something."""

_FORMER_MESSAGES = {"name": "role", "role": "role_type", "id": "uuid"}
_ADDED = {
    "messages": {"revision": MESSAGES},
    "projects": {"do_not_embed": EMBEDDINGS, "document_count": DOCUMENTS},
    "erasures": {"document_count": DOCUMENTS},
    "sessions": {"active_at": SESSIONS, "assigned_at": ASSIGNED, "do_not_embed": EMBEDDINGS},
    "users": {"do_not_embed": EMBEDDINGS},
    "user_usage": {"document_count": DOCUMENT_QUOTAS},
}
"""Columns that a migration fills, by the version that brought them."""

_START = datetime(2026, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Time(NamedTuple):
    """Seconds after the start of 2026."""

    seconds: int


_SOON = Time(int((datetime.now(UTC) - _START).total_seconds()) + 3600)
"""When a tombstone ends: one that ends much later is the work of a wrong clock, and is deleted."""


class Row(NamedTuple):
    """A row of a table: column to value."""

    table: str
    values: dict[str, Any]


class Execute(Protocol):
    """Executes a statement with parameters."""

    def __call__(self, statement: str, values: tuple[Any, ...] = ()) -> Any: ...


def rows_of(schema: int) -> Iterator[Row]:
    """Yield the rows of a database with a schema, in the columns of that schema."""
    for row in current_rows_of(schema):
        values = row.values
        if row.table == "messages" and schema < MESSAGES:
            values = {_FORMER_MESSAGES.get(name, name): value for name, value in values.items()}
        added = {name for name, since in _ADDED.get(row.table, {}).items() if since > schema}
        yield Row(row.table, {name: v for name, v in values.items() if name not in added})


def current_rows_of(schema: int) -> Iterator[Row]:
    """Yield the same rows in the columns of today, as the migrations fill them."""
    return _rows(schema)


def _rows(schema: int) -> Iterator[Row]:
    yield from (_user(1, number) for number in range(1, 4))
    yield _session(1, 1, "shoes", user=1)
    yield _session(1, 2, "no owner", user=None)
    for seq in range(1, 4):
        yield _message(1, "shoes", seq)
        yield _message(1, "no owner", seq)
    yield _erasure()
    yield Row(
        "tombstones",
        {"project_id": 1, "subject": "user", "id_hash": "e" * 64, "expires_at": _SOON},
    )
    if schema >= KEYS:
        yield _key()
    if schema >= PROJECTS:
        yield from _shop()
    if schema >= QUOTAS:
        yield Row(
            "user_usage",
            {
                "project_id": 2,
                "user_id": "user-4",
                "message_count": 1,
                "document_count": 0,
                "byte_count": 14,
                "quota_set_at": Time(1),
            },
        )


def _shop() -> Iterator[Row]:
    yield Row(
        "projects",
        {
            "project_id": 2,
            "name": "shop",
            "uuid": _uuid(20),
            "state": "active",
            "max_bytes_per_user": 10_000,
            "user_count": 0,
            "session_count": 0,
            "message_count": 0,
            "document_count": 0,
            "created_at": Time(1),
            "updated_at": Time(2),
            "do_not_embed": 0,
        },
    )
    yield _user(2, 4)
    yield _session(2, 3, "shoes", user=4)
    yield _message(2, "shoes", 1)


def _user(project: int, number: int) -> Row:
    address = f"Jane.{number}@example.com"
    return Row(
        "users",
        {
            "number": number,
            "project_id": project,
            "user_id": f"user-{number}",
            "uuid": _uuid(number),
            "email": address,
            "email_folded": address.lower(),
            "first_name": None if number == 2 else "Zoë",
            "metadata": {"plan": "pro", "n": [number, None]},
            "state": "active",
            "revision": number,
            "created_at": Time(number),
            "updated_at": Time(number + 1),
            "do_not_embed": 0,
        },
    )


def _session(project: int, number: int, id_: str, user: int | None) -> Row:
    count = 1 if project == 2 else 3
    return Row(
        "sessions",
        {
            "number": number,
            "project_id": project,
            "session_id": id_,
            "uuid": _uuid(100 + number),
            "user_id": user and f"user-{user}",
            "user_uuid": user and _uuid(user),
            "user_number": user,
            "metadata": {"n": number},
            "state": "active",
            "revision": 4,
            "message_count": count,
            "last_seq": count,
            "total_length": 2 * count,
            "ended_at": None if user else Time(50),
            "active_at": Time(10 + count),
            "assigned_at": Time(10) if user else None,
            "created_at": Time(10),
            "updated_at": Time(20),
            "do_not_embed": 0,
        },
    )


def _message(project: int, session: str, seq: int) -> Row:
    return Row(
        "messages",
        {
            "project_id": project,
            "session_id": session,
            "seq": seq,
            "word_count": 2,
            "id": _uuid(1000 * project + 100 * len(session) + seq),
            "name": "Jane" if seq == 1 else "Bot",
            "role": "user" if seq == 1 else "assistant",
            "token_count": seq,
            "revision": 1,
            "created_at": Time(10 + seq),
            "metadata": {"n": seq} if seq == 2 else None,
            "content": f"red shoes {seq} 名前",
            "data": '{"a":  1}' if seq == 3 else None,
        },
    )


def _erasure() -> Row:
    return Row(
        "erasures",
        {
            "number": 1,
            "project_id": 1,
            "uuid": _uuid(500),
            "subject": "user",
            "subject_hash": "d" * 64,
            "subject_uuid": _uuid(501),
            "state": "deleted",
            "session_count": 2,
            "message_count": 9,
            "document_count": 0,
            "started_at": Time(1),
            "hidden_at": Time(1),
            "deleted_at": Time(2),
            "purge_uuid": _uuid(502),
            "purged_at": Time(3),
        },
    )


def _key() -> Row:
    return Row(
        "api_keys",
        {
            "number": 1,
            "project_id": 1,
            "id": "0123456789abcdef",
            "name": "web",
            "scope": "admin",
            "hash": "a" * 64,
            "created_at": Time(1),
        },
    )


def _uuid(number: int) -> str:
    return f"01ab2c4e-7a6e-7f3e-8a55-{number:012x}"


# The two engines.


def sqlite_database(path: Path, schema: int) -> str:
    """Create a database file with a schema and its rows."""
    path.touch(mode=0o600)
    with closing(connect(str(path))) as connection:

        def execute(statement: str, values: tuple[Any, ...] = ()) -> Any:
            return list(connection.execute(statement, values))

        _create("sqlite", schema, execute)
        for row in rows_of(schema):
            _insert(row, "?", sqlite_value, execute)
    return str(path)


def postgres_database(schema: int) -> str:
    """Create a PostgreSQL database with a schema and its rows; return its URL."""
    url = postgres_server().new_database()
    with closing(psycopg.connect(url, autocommit=True)) as connection:

        def execute(statement: str, values: tuple[Any, ...] = ()) -> Any:
            return connection.execute(statement.encode(), values or None)

        _create("postgres", schema, execute)
        for row in rows_of(schema):
            _insert(row, "%s", postgres_value, execute)
    return url


def _create(dialect: Dialect, schema: int, execute: Execute) -> None:
    time = "INTEGER" if dialect == "sqlite" else "timestamptz"
    now = "1" if dialect == "sqlite" else "to_timestamp(1)"
    execute(
        "CREATE TABLE schema_migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, "
        f"applied_at {time} NOT NULL)"
    )
    for migration in load_migrations(dialect)[:schema]:
        execute(migration.sql)
        record = f"INSERT INTO schema_migrations VALUES ({migration.number}, '{migration.name}', "
        execute(f"{record}{now})")


def _insert(row: Row, place: str, convert: Callable[[Any], Any], execute: Execute) -> None:
    names, places = ", ".join(row.values), ", ".join([place] * len(row.values))
    values = tuple(map(convert, row.values.values()))
    execute(f"INSERT INTO {row.table} ({names}) VALUES ({places})", values)


def sqlite_value(value: Any) -> Any:
    """Return a value as SQLite stores it."""
    if isinstance(value, Time):
        return (_START + timedelta(seconds=value.seconds) - datetime.fromtimestamp(0, UTC)) // (
            _MICROSECOND
        )
    return json.dumps(value) if isinstance(value, dict) else value


def postgres_value(value: Any) -> Any:
    """Return a value as a parameter of PostgreSQL."""
    if isinstance(value, Time):
        return _START + timedelta(seconds=value.seconds)
    return Jsonb(value) if isinstance(value, dict) else value
