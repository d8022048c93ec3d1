"""Data written directly with SQL: not indexed, and with deleted rows that are not overwritten."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import apsw
import msgspec
import psycopg

from tests.residue.texts import Canaries, Texts
from tests.residue.users import ExpectedMessage, ExpectedSession, ExpectedUser
from userkeep.storage.migrations import load_migrations

_DELETED = 40
"""How many messages of each session are deleted again."""


def write_sqlite(path: Path, users: list[ExpectedUser], random: Random) -> None:
    """Create a file with users, sessions and messages, of which some are deleted."""
    connection = apsw.Connection(str(path))
    connection.pragma("auto_vacuum", random.choice([0, 1, 2]))
    connection.pragma("secure_delete", 0)
    record = (
        "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)"
    )
    with connection:
        connection.execute(record)
        for step in load_migrations("sqlite"):
            connection.execute(step.sql)
            done = (step.number, step.name, 0)
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", done)

    def insert(table: str, row: Mapping[str, Any]) -> None:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    with connection:
        _write(users, insert, random, now=1_700_000_000_000_000)
    connection.execute("ANALYZE")
    with connection:
        connection.execute("DELETE FROM messages WHERE name = 'former'")
    connection.close()


def write_postgres(url: str, users: list[ExpectedUser], random: Random) -> None:
    """Like write_sqlite, on PostgreSQL, with the statistics of ANALYZE."""
    record = (
        "CREATE TABLE schema_migrations"
        " (number integer PRIMARY KEY, name text, applied_at timestamptz)"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(record)
        for step in load_migrations("postgres"):
            connection.execute(step.sql.encode())
            done = (step.number, step.name)
            connection.execute("INSERT INTO schema_migrations VALUES (%s, %s, now())", done)

        def insert(table: str, row: Mapping[str, Any]) -> None:
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})".encode(), row)

        _write(users, insert, random, now=datetime.now(UTC))
        with _statistics(connection):
            connection.execute("ANALYZE")
        connection.execute("DELETE FROM messages WHERE name = 'former'")


@contextmanager
def _statistics(connection: psycopg.Connection) -> Iterator[None]:
    """Let ANALYZE sample the columns for which the schema turns it off.

    So the statistics contain personal data, as after an administrator has changed the settings.
    """
    columns = connection.execute(
        "SELECT CAST(CAST(attrelid AS regclass) AS text), quote_ident(attname) FROM pg_attribute"
        " WHERE attrelid >= 16384 AND attnum > 0 AND attstattarget = 0"
    ).fetchall()
    _set_statistics(connection, columns, -1)
    yield
    _set_statistics(connection, columns, 0)


def _set_statistics(
    connection: psycopg.Connection, columns: list[tuple[str, str]], target: int
) -> None:
    for table, column in columns:
        statement = f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {target}"
        connection.execute(statement.encode())


def _write(users: list[ExpectedUser], insert: Any, random: Random, now: Any) -> None:
    for user in users:
        uuid = str(uuid4())
        texts = user.texts
        user.fields = {
            "email": texts.word("oldemail"),
            "first_name": texts.word("oldfirst"),
            "last_name": texts.word("oldlast"),
            "metadata": texts.metadata("oldusermeta"),
        }
        stored = {
            "email_folded": user.fields["email"].lower(),
            "metadata": _json(user.fields["metadata"]),
        }
        insert("users", _shared_columns(user.user_id, uuid, now) | user.fields | stored)
        for _ in range(random.randint(1, 3)):
            _write_session(user, uuid, insert, random, now)


def _shared_columns(user_id: str, uuid: str, now: Any) -> dict[str, Any]:
    """Return the columns that users and sessions share."""
    times = {"created_at": now, "updated_at": now}
    return {
        "do_not_embed": 0,
        "project_id": 1,
        "user_id": user_id,
        "uuid": uuid,
        "state": "active",
        "revision": 1,
        **times,
    }


def _write_session(
    user: ExpectedUser, user_uuid: str, insert: Any, random: Random, now: Any
) -> None:
    texts, session_id = user.texts, user.texts.id("oldsessionid")
    session = user.sessions[session_id] = ExpectedSession(texts.metadata("oldsessionmeta"))
    remaining = random.randint(0, 30)
    # The sum of lengths is set when the instance builds the index.
    counts = {"message_count": remaining, "last_seq": remaining + _DELETED, "total_length": 0}
    uuid = _uuid(texts)
    row = {
        "session_id": session_id,
        "user_uuid": user_uuid,
        "metadata": _json(session.metadata),
        "active_at": now,
    }
    insert("sessions", _shared_columns(user.user_id, uuid, now) | row | counts)
    for seq in range(1, remaining + _DELETED + 1):
        is_deleted = seq > remaining
        expected = ExpectedMessage(
            "user",
            texts.word("oldname"),
            texts.sentence("old", random.choice([5, 300])),
            None,
            None,
        )
        expected.name = "former" if is_deleted else expected.name
        message = {
            "project_id": 1,
            "session_id": session_id,
            "seq": seq,
            "word_count": 0,
            "revision": 1,
            "id": _uuid(texts),
            "role": "user",
            "name": expected.name,
            "created_at": now,
            "content": expected.content,
        }
        insert("messages", message)
        if not is_deleted:
            session.messages[message["id"]] = expected


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _uuid(texts: Texts) -> str:
    uuid = str(uuid4())
    if isinstance(texts, Canaries):
        texts.uuids.add(uuid)
    return uuid
