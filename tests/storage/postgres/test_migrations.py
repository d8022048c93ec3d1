"""Migrations: each is applied once, completely or not at all.

The schema that they give is in `../schema.postgres.sql`. To change the schema, add a migration to
userkeep/storage/migrations/postgres/ (never edit a released one), then generate that file again,
and read the difference before you commit it:

    USERKEEP_TEST_RENEW=1 .venv/bin/pytest tests/storage/postgres/test_migrations.py
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
from tests.storage.postgres.conftest import OpenEngine
from tests.storage.postgres.notes import QUERIES, add_note, rows
from tests.storage.postgres.schema_dump import dump_schema
from tests.storage.subprocesses import finish, start_subprocess
from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.postgres import PostgresEngine, migrations
from userkeep.storage.postgres.migrations import migrate
from userkeep.storage.postgres.server import describe_url

GENERATED = Path(__file__).parents[1] / "schema.postgres.sql"
KNOWN = load_migrations("postgres")
ENGINES = 10


@pytest.fixture
def url() -> str:
    """An empty database, which is not migrated yet."""
    return postgres_server().new_database()


def recorded(url: str) -> list[tuple[int, str]]:
    return rows(url, "SELECT number, name FROM schema_migrations ORDER BY number")


def tables(url: str) -> set[str]:
    found = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    return {name for (name,) in found}


def with_migrations(monkeypatch: pytest.MonkeyPatch, *more: str) -> list[Migration]:
    """Add migrations to those that the program knows."""
    first = KNOWN[-1].number + 1
    added = [Migration(first + index, f"more_{index}", text) for index, text in enumerate(more)]
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*KNOWN, *added])
    return added


def with_options(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options={options}"


def database_of_another_encoding() -> str:
    """Return the URL of a new database that accepts any bytes as text."""
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


# The generated schema.


def test_all_migrations_give_the_generated_schema(url: str) -> None:
    migrate(url)
    fresh = dump_schema(url)
    if os.environ.get("USERKEEP_TEST_RENEW"):
        GENERATED.write_text(fresh)
    assert fresh == GENERATED.read_text()


def test_the_generated_schema_can_be_executed(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(GENERATED.read_text().encode())
    assert dump_schema(url) == GENERATED.read_text()


def test_both_engines_have_the_same_migrations() -> None:
    known = [(each.number, each.name) for each in KNOWN]
    assert known == [(each.number, each.name) for each in load_migrations("sqlite")]


# One migration after the other.


def test_every_migration_is_applied_once_and_recorded(url: str) -> None:
    a_minute = timedelta(minutes=1)
    before = datetime.now(UTC) - a_minute
    assert migrate(url) == KNOWN
    assert recorded(url) == [(each.number, each.name) for each in KNOWN]
    for (applied_at,) in rows(url, "SELECT applied_at FROM schema_migrations"):
        assert before < applied_at < before + 3 * a_minute
    assert migrate(url) == []
    assert len(recorded(url)) == len(KNOWN)


def test_opening_a_migrated_database_changes_nothing(url: str, open_engine: OpenEngine) -> None:
    versions = "SELECT oid, xmin::text FROM pg_class ORDER BY oid"
    open_engine().close()
    before = rows(url, versions)
    open_engine().close()
    assert rows(url, versions) == before


def test_only_missing_migrations_are_applied(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(url)
    rows(url, "INSERT INTO instance VALUES ('x', 'kept')")
    added = with_migrations(monkeypatch, "CREATE TABLE one (x text)")
    assert migrate(url) == added
    assert recorded(url)[-1] == (added[0].number, "more_0")
    assert "one" in tables(url)
    assert rows(url, "SELECT value FROM instance WHERE name = 'x'") == [("kept",)]


def test_a_failed_migration_is_rolled_back_and_earlier_ones_stay(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url)
    broken = "CREATE TABLE two (x text); INSERT INTO instance VALUES ('x', 'x'); SELECT nonsense"
    added = with_migrations(
        monkeypatch, "CREATE TABLE one (x text)", broken, "CREATE TABLE three ()"
    )
    with pytest.raises(StorageError, match="nonsense") as error:
        migrate(url)
    assert describe_url(url) in error.value.detail
    assert "Nothing was changed" in error.value.detail
    assert recorded(url)[-1] == (added[0].number, "more_0")
    assert "one" in tables(url)
    assert not {"two", "three"} & tables(url)
    assert rows(url, "SELECT 1 FROM instance WHERE name = 'x'") == []


def test_a_failed_first_migration_leaves_an_empty_database(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Migration(1, "broken", "CREATE TABLE one (x text); SELECT nonsense")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [broken])
    with pytest.raises(StorageError):
        migrate(url)
    assert tables(url) == set()


def test_migrating_continues_after_a_failed_migration_is_repaired(
    url: str, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine().close()
    with_migrations(monkeypatch, "CREATE TABLE one (x text)", "SELECT nonsense")
    with pytest.raises(StorageError):
        open_engine()
    with_migrations(monkeypatch, "CREATE TABLE one (x text)", "CREATE TABLE two (x text)")
    open_engine()
    assert len(recorded(url)) == len(KNOWN) + 2


def test_a_migration_does_not_wait_for_a_lock_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(url)
    monkeypatch.setattr(migrations, "LOCK_WAIT_S", 1)
    [added] = with_migrations(monkeypatch, "ALTER TABLE users ADD COLUMN one text")
    with psycopg.connect(url) as other:
        other.execute("SELECT count(*) FROM users")  # and keeps a lock until its transaction ends
        with pytest.raises(StorageError, match="lock timeout"):
            migrate(url)
    assert migrate(url) == [added]


# Servers that start at the same time.


def test_ten_engines_that_open_a_new_database_concurrently_migrate_it_once(url: str) -> None:
    all_engines = threading.Barrier(ENGINES)

    def open_() -> None:
        all_engines.wait(30)
        PostgresEngine(url, QUERIES, pool_size=1).close()

    with ThreadPoolExecutor(ENGINES) as pool:
        for opened in [pool.submit(open_) for _ in range(ENGINES)]:
            opened.result(60)
    assert recorded(url) == [(each.number, each.name) for each in KNOWN]


def test_processes_that_open_a_new_instance_concurrently_migrate_it_once(
    url: str, tmp_path: Path
) -> None:
    code = """
    sys.stdin.readline()
    settings = Settings(database_url=sys.argv[1], secret_file=sys.argv[2])
    open_instance(settings).close()
    print("opened")
    """
    secret = tmp_path / "secret"
    started = [start_subprocess(code, url, secret) for _ in range(4)]
    for each in started:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    assert [finish(each) for each in started] == ["opened"] * len(started)
    assert recorded(url) == [(each.number, each.name) for each in KNOWN]
    assert rows(url, "SELECT count(*) FROM instance WHERE name = 'secret_fingerprint'") == [(1,)]


def test_a_starting_server_applies_a_missing_migration_while_others_serve(
    url: str, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = open_engine()
    older.read(lambda tx: tx.fetch_all("project_ids", int))
    [added] = with_migrations(monkeypatch, "ALTER TABLE projects ADD COLUMN one text")
    newer = open_engine()
    assert recorded(url)[-1][0] == added.number
    for engine in (older, newer):
        assert engine.read(lambda tx: tx.fetch_all("project_ids", int)) == [1]


# Databases of other programs and versions.


def test_an_older_version_rejects_a_newer_database_and_explains_what_to_do(url: str) -> None:
    migrate(url)
    rows(url, "INSERT INTO schema_migrations VALUES (9999, 'from_the_future', now())")
    with pytest.raises(StorageError) as error:
        PostgresEngine(url, QUERIES)
    assert error.value.detail == (
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
def test_another_programs_database_is_rejected_and_left_unchanged(
    url: str, name: str, table: LiteralString
) -> None:
    rows(url, table)
    with pytest.raises(StorageError) as error:
        PostgresEngine(url, QUERIES)
    assert f"{describe_url(url)} is another program's database" in error.value.detail
    assert "?options=-csearch_path%3Duserkeep" in error.value.detail
    assert tables(url) == {name}


@pytest.mark.parametrize("path", ["userkeep", "userkeep,public"])
def test_an_empty_schema_of_another_programs_database_can_be_used(url: str, path: str) -> None:
    rows(url, "CREATE TABLE schema_migrations (version text)")
    rows(url, "CREATE SCHEMA userkeep")
    options = f"-csearch_path%3D{path}"
    for _ in range(2):
        with closing(PostgresEngine(with_options(url, options), QUERIES)) as engine:
            assert engine.read(lambda tx: tx.fetch_all("project_ids", int)) == [1]
    in_public: Any = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert in_public == [("schema_migrations",)]
    in_userkeep = "SELECT count(*) FROM pg_tables WHERE schemaname = 'userkeep'"
    assert rows(url, in_userkeep)[0][0] >= 8


def test_a_missing_schema_is_rejected_with_an_explanation(url: str) -> None:
    with pytest.raises(StorageError) as error:
        PostgresEngine(with_options(url, "-csearch_path%3Dnowhere"), QUERIES)
    assert "schema" in error.value.detail


def test_a_database_with_another_encoding_is_rejected_with_an_explanation() -> None:
    url = database_of_another_encoding()
    with pytest.raises(StorageError, match="encoding is SQL_ASCII") as error:
        PostgresEngine(url, QUERIES)
    assert "ENCODING 'UTF8'" in error.value.detail
    assert tables(url) == set()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_client_encoding_set_by_the_database_is_overridden(
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
    engine.write(add_note("漢字 😀 é"))
    assert engine.read(lambda tx: tx.fetch_all("notes", str)) == ["漢字 😀 é"]
