"""Histories that an older program has written, in its schema, overwriting nothing it deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import apsw
import msgspec
import psycopg

from tests.residue.people import Conversation, Person, Said
from tests.residue.texts import Canaries, Texts
from userkeep.storage.migrations import Migration, load_migrations

_STEPS = 2
"""Of the schema. Later ones have what only the program can fill in."""

_FORMER = 40


def write_sqlite(path: Path, people: list[Person], random: Random) -> None:
    """A file with some people's histories, and what they have deleted."""
    connection = apsw.Connection(str(path))
    connection.pragma("auto_vacuum", random.choice([0, 1, 2]))
    connection.pragma("secure_delete", 0)
    record = (
        "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)"
    )
    with connection:
        connection.execute(record)
        for step in _older("sqlite"):
            connection.execute(step.sql)
            done = (step.number, step.name, 0)
            connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", done)

    def insert(table: str, row: Mapping[str, Any]) -> None:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)

    with connection:
        _write(people, insert, random, now=1_700_000_000_000_000)
    connection.execute("ANALYZE")
    with connection:
        connection.execute("DELETE FROM messages WHERE role = 'former'")
    connection.close()


def write_postgres(url: str, people: list[Person], random: Random) -> None:
    """As write_sqlite, with the samples that ANALYZE took of it."""
    record = (
        "CREATE TABLE schema_migrations"
        " (number integer PRIMARY KEY, name text, applied_at timestamptz)"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(record)
        for step in _older("postgres"):
            connection.execute(step.sql.encode())
            done = (step.number, step.name)
            connection.execute("INSERT INTO schema_migrations VALUES (%s, %s, now())", done)

        def insert(table: str, row: Mapping[str, Any]) -> None:
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})".encode(), row)

        _write(people, insert, random, now=datetime.now(UTC))
        connection.execute("ANALYZE")
        connection.execute("DELETE FROM messages WHERE role = 'former'")


def _older(dialect: str) -> list[Migration]:
    return load_migrations(dialect)[:_STEPS]


def _write(people: list[Person], insert: Any, random: Random, now: Any) -> None:
    for person in people:
        uuid = str(uuid4())
        texts = person.texts
        person.fields = {
            "email": texts.word("oldemail"),
            "first_name": texts.word("oldfirst"),
            "last_name": texts.word("oldlast"),
            "metadata": texts.metadata("oldusermeta"),
        }
        stored = {
            "email_folded": person.fields["email"].lower(),
            "metadata": _json(person.fields["metadata"]),
        }
        insert("users", _named(person.user_id, uuid, now) | person.fields | stored)
        for _ in range(random.randint(1, 3)):
            _write_session(person, uuid, insert, random, now)


def _named(user_id: str, uuid: str, now: Any) -> dict[str, Any]:
    """What users and sessions have in common."""
    times = {"created_at": now, "updated_at": now}
    return {
        "project_id": 1,
        "user_id": user_id,
        "uuid": uuid,
        "state": "active",
        "revision": 1,
        **times,
    }


def _write_session(person: Person, user_uuid: str, insert: Any, random: Random, now: Any) -> None:
    texts, session_id = person.texts, person.texts.id("oldsessionid")
    session = person.sessions[session_id] = Conversation(texts.metadata("oldsessionmeta"))
    kept = random.randint(0, 30)
    counts = {"message_count": kept, "last_seq": kept + _FORMER}
    uuid = _uuid(texts)
    row = {"session_id": session_id, "user_uuid": user_uuid, "metadata": _json(session.metadata)}
    insert("sessions", _named(person.user_id, uuid, now) | row | counts)
    for seq in range(1, kept + _FORMER + 1):
        is_former = seq > kept
        said = Said(
            texts.word("oldrole"), texts.sentence("old", random.choice([5, 300])), None, None
        )
        said.role = "former" if is_former else said.role
        message = {
            "project_id": 1,
            "session_id": session_id,
            "seq": seq,
            "uuid": _uuid(texts),
            "role": said.role,
            "role_type": "user",
            "created_at": now,
            "content": said.content,
        }
        insert("messages", message)
        if not is_former:
            session.messages[message["uuid"]] = said


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _uuid(texts: Texts) -> str:
    uuid = str(uuid4())
    if isinstance(texts, Canaries):
        texts.uuids.add(uuid)
    return uuid
