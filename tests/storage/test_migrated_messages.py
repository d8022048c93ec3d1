"""Messages of a database from before they had a role, a name and an id of any text."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from tests.postgres import postgres_server
from userkeep import Userkeep
from userkeep.storage.migrations import load_migrations
from userkeep.storage.sqlite.connection import connect

UUID = "75c40217-9af1-407d-b9a6-367069d29dd5"
SECRET = "x" * 64
SESSION = """
INSERT INTO sessions (
    number, project_id, session_id, uuid, state, revision, message_count, last_seq, total_length,
    created_at, updated_at
)
VALUES (1, 1, 's', {uuid}, 'active', 1, 4, 4, 0, {now}, {now})
"""
MESSAGE = """
INSERT INTO messages (
    project_id, session_id, seq, word_count, uuid, role, role_type, created_at, content
)
VALUES (1, 's', {seq}, 0, {uuid}, '{role}', '{role_type}', {now}, 'red shoes {seq}')
"""
FORMER = [("Jane", "user"), ("", "assistant"), ("user", "norole"), ("tool", "tool")]


def statements(now: str) -> Iterator[str]:
    """Yield the statements that fill the former schema."""
    values = {"uuid": f"'{UUID}'", "now": now}
    yield SESSION.format(**values)
    for seq, (role, role_type) in enumerate(FORMER, 1):
        values["uuid"] = f"'{UUID[:-1]}{seq}'"
        yield MESSAGE.format(seq=seq, role=role, role_type=role_type, **values)
    yield f"INSERT INTO schema_migrations (number, name, applied_at) VALUES (1, 'initial', {now})"


def sqlite_database(path: Path) -> str:
    path.touch()
    with closing(connect(str(path))) as connection:
        connection.execute(load_migrations("sqlite")[0].sql)
        connection.execute(
            "CREATE TABLE schema_migrations (number INTEGER NOT NULL PRIMARY KEY, "
            "name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
        )
        for each in statements("1"):
            connection.execute(each)
    return str(path)


def postgres_database() -> str:
    url = postgres_server().new_database()
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(load_migrations("postgres")[0].sql.encode())
        connection.execute(
            "CREATE TABLE schema_migrations (number integer NOT NULL PRIMARY KEY, "
            "name text NOT NULL, applied_at timestamptz NOT NULL)"
        )
        for each in statements("to_timestamp(1)"):
            connection.execute(each.encode())
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Userkeep]:
    """A client of a database with former messages, which it migrates."""
    is_sqlite = request.param == "sqlite"
    database = sqlite_database(tmp_path / "former.db") if is_sqlite else postgres_database()
    ledger = str(tmp_path / "userkeep.ledger")
    with Userkeep.open(database, secret=SECRET, ledger_file=ledger) as opened:
        yield opened


def test_former_messages_have_a_name_a_role_and_an_id(client: Userkeep) -> None:
    messages = client.message.list("s")
    assert [(each.name, each.role) for each in messages] == [
        ("Jane", "user"),
        (None, "assistant"),
        ("user", "norole"),
        ("tool", "tool"),
    ]
    assert [each.id for each in messages] == [f"{UUID[:-1]}{seq}" for seq in range(1, 5)]
    assert {(each.revision, each.edited_at) for each in messages} == {(1, None)}


def test_former_messages_are_found_changed_and_deleted(client: Userkeep) -> None:
    hits = client.search("shoes", session_id="s", roles=["user"])
    assert [hit.message.name for hit in hits] == ["Jane"]
    first, second, *_ = client.message.list("s")
    changed = client.message.update("s", first.id, content="blue hats", name="Ann")
    assert (changed.revision, changed.name) == (2, "Ann")
    assert client.search("red", session_id="s", limit=9)[0].message.seq != 1
    assert client.message.delete("s", second.id, purge="now").subject_uuid == second.id
    client.message.add("s", {"id": "msg_1", "role": "developer", "content": "new shoes"})
    assert client.message.get("s", "msg_1").seq == 5
    assert client.user.list() == []


def test_a_migration_of_sqlite_rewrites_no_row(tmp_path: Path) -> None:
    path = sqlite_database(tmp_path / "former.db")
    before = stored_rows(path)
    with closing(connect(path)) as connection:
        connection.execute(load_migrations("sqlite")[1].sql)
    assert stored_rows(path) == before


def stored_rows(path: str) -> list[Any]:
    """Return the payload of the table's pages, as SQLite stores it."""
    with closing(apsw.Connection(path)) as connection:
        pages = "SELECT pageno, payload, unused FROM dbstat WHERE name = 'messages' ORDER BY pageno"
        return list(connection.execute(pages))
