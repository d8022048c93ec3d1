"""Schema changes: each is applied once, whole or not at all, and their sum is what is printed.

The schema of a fresh database is printed in `../schema.postgres.sql`. A change of the schema is a
new step in userkeep/storage/migrations/postgres/ (never an edit of a step that was released), and
then:

    USERKEEP_TEST_RENEW=1 .venv/bin/pytest tests/storage/postgres/test_migrations.py

prints the schema anew. Read the difference before you commit it.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.postgres import postgres_server
from tests.storage.elsewhere import end, start_elsewhere
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import QUERIES, note, rows
from tests.storage.postgres.printing import printed_schema
from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.postgres import PostgresEngine, migrations
from userkeep.storage.postgres.migrations import migrate
from userkeep.storage.postgres.server import describe_url

PRINTED = Path(__file__).parents[1] / "schema.postgres.sql"
KNOWN = load_migrations("postgres")
AT_ONCE = 10


def recorded(url: str) -> list[tuple[int, str]]:
    return rows(url, "SELECT number, name FROM schema_migrations ORDER BY number")


def tables(url: str) -> set[str]:
    found = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return {name for (name,) in found}


def with_steps(monkeypatch: pytest.MonkeyPatch, *more: str) -> list[Migration]:
    """The program knows these steps too."""
    first = KNOWN[-1].number + 1
    steps = [Migration(first + place, f"more_{place}", text) for place, text in enumerate(more)]
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*KNOWN, *steps])
    return steps


def with_options(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options={options}"


def database_of_another_encoding() -> str:
    """The URL of a fresh database that takes any bytes for text."""
    url = postgres_server().new_database()
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    statements = (
        "DROP DATABASE {}",
        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    with psycopg.connect(postgres_server().url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
    return url


# The printed schema.


def test_the_sum_of_all_steps_is_the_printed_schema(url: str) -> None:
    migrate(url)
    fresh = printed_schema(url)
    if os.environ.get("USERKEEP_TEST_RENEW"):
        PRINTED.write_text(fresh)
    assert fresh == PRINTED.read_text()


def test_the_printed_schema_can_be_run(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(PRINTED.read_text().encode())
    assert printed_schema(url) == PRINTED.read_text()


def test_both_engines_take_the_same_steps() -> None:
    steps = [(step.number, step.name) for step in KNOWN]
    assert steps == [(step.number, step.name) for step in load_migrations("sqlite")]


# One step after the other.


def test_every_step_is_applied_once_and_recorded(url: str) -> None:
    a_minute = timedelta(minutes=1)
    before = datetime.now(UTC) - a_minute
    assert migrate(url) == KNOWN
    assert recorded(url) == [(step.number, step.name) for step in KNOWN]
    for (applied_at,) in rows(url, "SELECT applied_at FROM schema_migrations"):
        assert before < applied_at < before + 3 * a_minute
    assert migrate(url) == []
    assert len(recorded(url)) == len(KNOWN)


def test_opening_again_changes_nothing(url: str, open_engine: OpenEngine) -> None:
    versions = "SELECT oid, xmin::text FROM pg_class ORDER BY oid"
    open_engine().close()
    before = rows(url, versions)
    open_engine().close()
    assert rows(url, versions) == before


def test_only_what_is_missing_is_applied(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(url)
    rows(url, "INSERT INTO projects (project_id, name) VALUES (2, 'kept')")
    steps = with_steps(monkeypatch, "CREATE TABLE one (x text)")
    assert migrate(url) == steps
    assert recorded(url)[-1] == (steps[0].number, "more_0")
    assert "one" in tables(url)
    assert rows(url, "SELECT count(*) FROM projects") == [(2,)]


def test_a_broken_step_leaves_nothing_and_those_before_it_stay(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url)
    broken = "CREATE TABLE two (x text); INSERT INTO projects VALUES (2, 'x'); SELECT nonsense"
    steps = with_steps(monkeypatch, "CREATE TABLE one (x text)", broken, "CREATE TABLE three ()")
    with pytest.raises(StorageError, match="nonsense") as refused:
        migrate(url)
    assert describe_url(url) in refused.value.detail
    assert "Nothing was changed" in refused.value.detail
    assert recorded(url)[-1] == (steps[0].number, "more_0")
    assert "one" in tables(url)
    assert not {"two", "three"} & tables(url)
    assert rows(url, "SELECT count(*) FROM projects") == [(1,)]


def test_a_broken_first_step_leaves_an_empty_database(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Migration(1, "broken", "CREATE TABLE one (x text); SELECT nonsense")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [step])
    with pytest.raises(StorageError):
        migrate(url)
    assert tables(url) == set()


def test_a_repaired_step_is_taken_up_where_the_broken_one_stopped(
    url: str, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine().close()
    with_steps(monkeypatch, "CREATE TABLE one (x text)", "SELECT nonsense")
    with pytest.raises(StorageError):
        open_engine()
    with_steps(monkeypatch, "CREATE TABLE one (x text)", "CREATE TABLE two (x text)")
    open_engine()
    assert len(recorded(url)) == len(KNOWN) + 2


def test_a_step_does_not_wait_for_a_lock_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url)
    monkeypatch.setattr(migrations, "_LOCK_WAIT_S", 1)
    [step] = with_steps(monkeypatch, "ALTER TABLE users ADD COLUMN one text")
    with psycopg.connect(url) as other:
        other.execute("SELECT count(*) FROM users")  # and holds a lock until its transaction ends
        with pytest.raises(StorageError, match="lock timeout"):
            migrate(url)
    assert migrate(url) == [step]


# Servers that start together.


def test_ten_engines_that_open_a_fresh_database_at_once_bring_it_up_to_date_once(url: str) -> None:
    everybody = threading.Barrier(AT_ONCE)

    def open_() -> None:
        everybody.wait(30)
        PostgresEngine(url, QUERIES, pool_size=1).close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for opened in [pool.submit(open_) for _ in range(AT_ONCE)]:
            opened.result(60)
    assert recorded(url) == [(step.number, step.name) for step in KNOWN]


def test_processes_that_open_a_fresh_instance_at_once_bring_it_up_to_date_once(
    url: str, tmp_path: Path
) -> None:
    code = """
    sys.stdin.readline()
    settings = Settings(database_url=sys.argv[1], secret_file=sys.argv[2])
    open_instance(settings).close()
    print("opened")
    """
    secret = tmp_path / "secret"
    started = [start_elsewhere(code, url, secret) for _ in range(4)]
    for each in started:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    assert [end(each) for each in started] == ["opened"] * len(started)
    assert recorded(url) == [(step.number, step.name) for step in KNOWN]
    assert rows(url, "SELECT count(*) FROM instance WHERE name = 'secret_fingerprint'") == [(1,)]


def test_a_server_that_starts_while_others_serve_takes_the_missing_step(
    url: str, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = open_engine()
    older.read(lambda tx: tx.fetch_all("project_ids", int))
    [step] = with_steps(monkeypatch, "ALTER TABLE projects ADD COLUMN one text")
    newer = open_engine()
    assert recorded(url)[-1][0] == step.number
    for engine in (older, newer):
        assert engine.read(lambda tx: tx.fetch_all("project_ids", int)) == [1]


# Databases that are not ours.


def test_an_older_program_refuses_a_newer_database_and_says_what_to_do(url: str) -> None:
    migrate(url)
    rows(url, "INSERT INTO schema_migrations VALUES (9999, 'from_the_future', now())")
    with pytest.raises(StorageError) as refused:
        PostgresEngine(url, QUERIES)
    assert refused.value.detail == (
        f"{describe_url(url)} was made by a newer Userkeep (schema version 9999; this program "
        f"supports up to {KNOWN[-1].number}). Install the newer Userkeep, or restore a backup from "
        "before the upgrade; nothing was changed."
    )


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("users", "CREATE TABLE users (id integer)"),
        ("schema_migrations", "CREATE TABLE schema_migrations (version text PRIMARY KEY)"),
        ("schema_migrations", "CREATE TABLE schema_migrations (version bigint, name text)"),
    ],
)
def test_another_programs_database_is_refused_and_left_alone(
    url: str, name: str, table: LiteralString
) -> None:
    rows(url, table)
    with pytest.raises(StorageError) as refused:
        PostgresEngine(url, QUERIES)
    assert f"{describe_url(url)} is another program's database" in refused.value.detail
    assert "?options=-csearch_path%3Duserkeep" in refused.value.detail
    assert tables(url) == {name}


@pytest.mark.parametrize("path", ["userkeep", "userkeep,public"])
def test_an_empty_schema_of_another_programs_database_will_do(url: str, path: str) -> None:
    rows(url, "CREATE TABLE schema_migrations (version text)")
    rows(url, "CREATE SCHEMA userkeep")
    options = f"-csearch_path%3D{path}"
    for _ in range(2):
        with closing(PostgresEngine(with_options(url, options), QUERIES)) as engine:
            assert engine.read(lambda tx: tx.fetch_all("project_ids", int)) == [1]
    in_public: Any = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert in_public == [("schema_migrations",)]
    in_ours = "SELECT count(*) FROM pg_tables WHERE schemaname = 'userkeep'"
    assert rows(url, in_ours)[0][0] >= 8


def test_a_schema_that_is_not_there_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(StorageError) as refused:
        PostgresEngine(with_options(url, "-csearch_path%3Dnowhere"), QUERIES)
    assert "schema" in refused.value.detail


def test_a_database_of_another_encoding_is_refused_with_a_sentence() -> None:
    url = database_of_another_encoding()
    with pytest.raises(StorageError, match="encoding is SQL_ASCII") as refused:
        PostgresEngine(url, QUERIES)
    assert "ENCODING 'UTF8'" in refused.value.detail
    assert tables(url) == set()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_client_encoding_that_is_set_elsewhere_does_no_harm(
    url: str, open_engine: OpenEngine, encoding: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET client_encoding = {}").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
    engine = open_engine()
    engine.write(lambda tx: tx.execute("make_notes"))
    engine.write(note("漢字 😀 é"))
    assert engine.read(lambda tx: tx.fetch_all("notes", str)) == ["漢字 😀 é"]
