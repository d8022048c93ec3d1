"""Migrations: each is applied once, completely or not at all.

The schema that they give is in `schema.sqlite.sql`, beside this file. To change the schema, add a
migration to userkeep/storage/migrations/sqlite/ (never edit a released one), then generate that
file again, and read the difference before you commit it:

    USERKEEP_TEST_RENEW=1 .venv/bin/pytest tests/storage/test_migrations.py
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import Any

import apsw
import pytest

from tests.storage.conftest import OpenEngine
from tests.storage.notes import QUERIES
from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, load_migrations
from userkeep.storage.sqlite import SqliteEngine, migrations
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.migrations import migrate

GENERATED = Path(__file__).with_name("schema.sqlite.sql")
KNOWN = load_migrations("sqlite")


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    """A connection to a fresh file."""
    path.touch()
    with closing(connect(str(path))) as connection:
        yield connection


def schema(connection: apsw.Connection) -> str:
    """Return the SQL of a schema: table by table, each with its indexes; spaces normalized."""
    sql = """
        SELECT sql FROM sqlite_schema
        WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite@_%' ESCAPE '@'
            AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow')
        ORDER BY tbl_name, type DESC, name
    """
    texts = ["\n".join(map(str.rstrip, text.splitlines())) for (text,) in connection.execute(sql)]
    return "".join(f"{text};\n\n" for text in texts).rstrip() + "\n"


def recorded(connection: apsw.Connection) -> list[tuple[int, str]]:
    return list(connection.execute("SELECT number, name FROM schema_migrations ORDER BY number"))


def with_migrations(monkeypatch: pytest.MonkeyPatch, *more: str) -> list[Migration]:
    """Add migrations to those that the program knows."""
    first = KNOWN[-1].number + 1
    added = [Migration(first + index, f"more_{index}", sql) for index, sql in enumerate(more)]
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [*KNOWN, *added])
    return added


def test_all_migrations_give_the_generated_schema(connection: apsw.Connection, path: Path) -> None:
    migrate(connection, str(path))
    fresh = schema(connection)
    if os.environ.get("USERKEEP_TEST_RENEW"):
        GENERATED.write_text(fresh)
    assert fresh == GENERATED.read_text()


def test_the_generated_schema_can_be_executed(path: Path, connection: apsw.Connection) -> None:
    connection.execute(GENERATED.read_text())
    assert schema(connection) == GENERATED.read_text()


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [each.number for each in KNOWN] == list(range(1, len(KNOWN) + 1))
    assert all(each.name.isidentifier() and each.name == each.name.lower() for each in KNOWN)


def test_every_migration_is_applied_once_and_recorded(
    connection: apsw.Connection, path: Path
) -> None:
    before = time_ns() // 1000
    assert migrate(connection, str(path)) == KNOWN
    assert recorded(connection) == [(each.number, each.name) for each in KNOWN]
    times: Any = connection.execute("SELECT applied_at FROM schema_migrations")
    assert all(before <= applied_at <= time_ns() // 1000 for (applied_at,) in times)
    assert migrate(connection, str(path)) == []
    assert len(recorded(connection)) == len(KNOWN)


def test_opening_a_migrated_database_changes_nothing(path: Path, open_engine: OpenEngine) -> None:
    open_engine().close()
    before = path.read_bytes()
    open_engine().close()
    assert path.read_bytes() == before


def test_only_missing_migrations_are_applied_and_logged(
    connection: apsw.Connection,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    migrate(connection, str(path))
    connection.execute("INSERT INTO instance VALUES ('x', 'kept')")
    added = with_migrations(monkeypatch, "CREATE TABLE one (x TEXT) STRICT")
    caplog.set_level("INFO")
    assert migrate(connection, str(path)) == added
    at_info = [record for record in caplog.records if record.levelname == "INFO"]
    fields = [vars(record)["fields"] for record in at_info]
    assert fields == [{"number": added[0].number, "name": "more_0"}]
    assert recorded(connection)[-1] == (added[0].number, "more_0")
    assert connection.table_exists("main", "one")
    assert connection.execute("SELECT value FROM instance WHERE name = 'x'").fetchall() == [
        ("kept",)
    ]


def test_a_failed_migration_is_rolled_back_with_those_before_it(
    connection: apsw.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(connection, str(path))
    broken = "CREATE TABLE two (x TEXT); INSERT INTO instance VALUES ('x', 'x'); SELECT nonsense"
    with_migrations(monkeypatch, "CREATE TABLE one (x TEXT)", broken, "CREATE TABLE three (x)")
    with pytest.raises(StorageError, match="nonsense") as error:
        migrate(connection, str(path))
    assert str(path) in error.value.detail
    assert not connection.in_transaction
    assert recorded(connection) == [(each.number, each.name) for each in KNOWN]
    assert not connection.table_exists("main", "one")
    assert not connection.table_exists("main", "two")
    assert not connection.table_exists("main", "three")
    assert connection.execute("SELECT 1 FROM instance WHERE name = 'x'").fetchall() == []


def test_a_failed_first_migration_leaves_an_empty_database(
    connection: apsw.Connection, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Migration(1, "broken", "CREATE TABLE one (x TEXT); SELECT nonsense")
    monkeypatch.setattr(migrations, "load_migrations", lambda _dialect: [broken])
    with pytest.raises(StorageError):
        migrate(connection, str(path))
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []


def test_migrating_continues_after_a_failed_migration_is_repaired(
    path: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine().close()
    with_migrations(monkeypatch, "CREATE TABLE one (x TEXT)", "SELECT nonsense")
    with pytest.raises(StorageError):
        open_engine()
    with_migrations(monkeypatch, "CREATE TABLE one (x TEXT)", "CREATE TABLE two (x TEXT)")
    open_engine()
    with closing(apsw.Connection(str(path))) as connection:
        assert len(recorded(connection)) == len(KNOWN) + 2


def test_an_older_version_rejects_a_newer_database_and_explains_what_to_do(path: Path) -> None:
    SqliteEngine(str(path), QUERIES).close()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 1)")
    before = path.read_bytes()
    with pytest.raises(StorageError) as error:
        SqliteEngine(str(path), QUERIES)
    assert error.value.detail == (
        f"{path} was made by a newer Userkeep (schema version 9999; this program supports up to "
        f"{KNOWN[-1].number}). Install the newer Userkeep, or restore a backup from before the "
        "upgrade; nothing was changed."
    )
    assert path.read_bytes() == before
