"""What the database keeps of an Idempotency-Key, for how long, and how many."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest
from psycopg.rows import tuple_row

from tests.conftest import fresh_settings
from userkeep import Gone, NewMessage, Userkeep
from userkeep.config import Settings, sqlite_path

ENGINES = pytest.mark.parametrize("engine", ["sqlite file", "postgres"], ids=["sqlite", "postgres"])
KEY = "order 4711 of jane"


@contextmanager
def opened(settings: Settings, **more: Any) -> Iterator[Userkeep]:
    """Open the database as an application does."""
    url = settings.database_url
    place = url if url.startswith("postgres") else sqlite_path(url)
    with Userkeep.open(place, secret_file=settings.secret_file, **more) as client:
        yield client


def execute(settings: Settings, sql: str, *values: str) -> list[tuple[Any, ...]]:
    """Run a statement past Userkeep, with `?` for values."""
    if settings.database_url.startswith("postgres"):
        with psycopg.connect(
            settings.database_url, autocommit=True, row_factory=tuple_row
        ) as database:
            cursor = database.execute(sql.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description else []
    with closing(apsw.Connection(sqlite_path(settings.database_url))) as file:
        file.set_busy_timeout(60_000)
        return list(file.execute(sql, values))


@ENGINES
def test_a_key_is_stored_as_a_hash(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with opened(settings) as client:
        client.user.add(user_id="jane", idempotency_key=KEY)
    [(key,)] = execute(settings, "SELECT key FROM idempotency")
    assert len(key) == 64
    assert "jane" not in key


@ENGINES
def test_nothing_but_hashes_is_stored_of_a_request_whose_result_was_deleted(
    engine: str, tmp_path: Path
) -> None:
    settings = fresh_settings(engine, tmp_path)
    with opened(settings) as client:
        client.user.add(user_id="jane", idempotency_key=KEY)
        client.message.add(
            "s1",
            NewMessage(role="user", content="Hi"),
            user_id="jane",
            idempotency_key=f"{KEY}: append",
        )
        client.user.delete("jane")
    ids = "SELECT user_id, session_id, uuid, first_seq, message_count FROM idempotency"
    assert execute(settings, ids) == [(None,) * 5] * 2


@ENGINES
def test_keys_that_an_earlier_version_stored_are_hashed_once(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with opened(settings) as client:
        client.user.add(user_id="jane", idempotency_key=KEY)
    execute(settings, "UPDATE idempotency SET key = ?", KEY)
    execute(settings, "DELETE FROM instance WHERE name = 'idempotency_keys'")
    for _ in range(2):
        with opened(settings) as client:
            client.user.add(user_id="jane", idempotency_key=KEY)
    with opened(settings) as client:
        client.user.delete("jane")
        with pytest.raises(Gone):
            client.user.add(user_id="jane", idempotency_key=KEY)
    assert execute(settings, "SELECT count(*) FROM idempotency WHERE key = ?", KEY) == [(0,)]


@ENGINES
def test_only_the_newest_keys_are_kept(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with opened(settings) as client:
        client.session.add(session_id="s1")
        for number in range(7):
            client.session.end("s1", idempotency_key=f"key {number}")
    with opened(settings, idempotency_keys=3):
        pass  # what has expired is deleted when a database is opened, and once a minute
    assert execute(settings, "SELECT count(*) FROM idempotency") == [(3,)]
    with opened(settings) as client:
        client.session.delete("s1")
        for number in (4, 5, 6):
            with pytest.raises(Gone):
                client.session.end("s1", idempotency_key=f"key {number}")


@ENGINES
def test_more_keys_than_a_batch_lose_their_session(engine: str, tmp_path: Path) -> None:
    settings = fresh_settings(engine, tmp_path)
    with opened(settings) as client:
        client.session.add(session_id="s1")
        client.session.end("s1", idempotency_key="first")
        execute(
            settings,
            "INSERT INTO idempotency (project_id, key, request_hash, session_id, created_at) "
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200) "
            "SELECT 1, 'key ' || n, 'hash', 's1', created_at FROM n CROSS JOIN idempotency "
            "WHERE key NOT LIKE 'key %'".replace(
                "%", "%%" if settings.database_url.startswith("postgres") else "%"
            ),
        )
        assert client.session.delete("s1").state == "deleted"
    found = execute(settings, "SELECT count(*), count(session_id) FROM idempotency")
    assert found == [(1201, 0)]
