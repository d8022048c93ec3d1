"""Where people's data can live: every column of the real schema is in one of the two lists.

Who adds a table or a column says in userkeep/storage/places.py what is in it and how it goes when
somebody is deleted, or why nothing of anybody can be in it. These tests walk the schema, and fail
until that is said.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.postgres import postgres_server
from tests.storage.postgres.notes import rows
from userkeep.domain.transaction import Transaction
from userkeep.jobs.verify.table_scans import look_queries, looks
from userkeep.storage.engine import Engine
from userkeep.storage.places import (
    IMPERSONAL,
    PERSONAL,
    Holds,
    columns_with_personal_data,
)
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.migrations import migrate as migrate_postgres
from userkeep.storage.queries import DIALECTS, load_queries
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.migrations import migrate as migrate_sqlite

Column = tuple[str, str]

# ANALYZE makes its tables where there are rows.
ANALYZE = """
INSERT INTO users (project_id, user_id, uuid, state, revision, created_at, updated_at)
VALUES (1, 'jane', 'u', 'active', 1, 1, 1);
ANALYZE;
"""

# Kept for the whole server, not for a database; looked at where people's data may come in.
_POSTGRES_COLUMNS = """
SELECT relname, attname
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE attnum > 0 AND NOT attisdropped AND relkind NOT IN ('i', 'I')
    AND (relnamespace = current_schema()::regnamespace OR pg_class.oid = 'pg_statistic'::regclass)
"""


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A freshly migrated file."""
    path = tmp_path / "userkeep.db"
    with closing(connect(str(path))) as connection:
        migrate_sqlite(connection, str(path))
        yield connection


@pytest.fixture
def analyzed(sqlite: apsw.Connection) -> apsw.Connection:
    """The same, with the tables that SQLite makes by itself."""
    sqlite.execute(ANALYZE).fetchall()
    return sqlite


@pytest.fixture
def postgres() -> str:
    """A freshly migrated database."""
    url = postgres_server().new_database()
    migrate_postgres(url)
    return url


def columns_of_sqlite(connection: apsw.Connection) -> set[Column]:
    """Every column of every table, virtual ones, their shadows and hidden columns included."""
    tables = [row[1] for row in connection.execute("PRAGMA main.table_list")]
    return {
        (table, row[1])
        for table in tables
        for row in connection.execute(f"PRAGMA main.table_xinfo({table})")
    }


def columns_of_postgres(url: str) -> set[Column]:
    """Every column of every table, sequences included, and of the table of samples."""
    return {(str(table), str(column)) for table, column in rows(url, _POSTGRES_COLUMNS)}


def listed(dialect: str) -> list[Column]:
    """Every column that the two lists name for an engine."""
    personal = [
        (table.name, place.column)
        for table in PERSONAL
        if dialect in table.dialects
        for place in table.of_dialect(dialect)
    ]
    impersonal = [
        (each.table, column)
        for each in IMPERSONAL
        if dialect in each.dialects
        for column in each.columns
    ]
    return personal + impersonal


def assert_all_are_listed(there: set[Column], dialect: str) -> None:
    names = listed(dialect)
    assert there - set(names) == set(), "is there, and in neither list"
    assert set(names) - there == set(), "is listed, and not there"
    assert len(names) == len(set(names)), "is listed twice"


def test_every_column_of_sqlite_is_in_one_of_the_lists(analyzed: apsw.Connection) -> None:
    assert_all_are_listed(columns_of_sqlite(analyzed), "sqlite")


def test_every_column_of_postgres_is_in_one_of_the_lists(postgres: str) -> None:
    assert_all_are_listed(columns_of_postgres(postgres), "postgres")


# That the walk would notice.


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD COLUMN telephone TEXT",
        "CREATE TABLE summaries (session_id TEXT, content TEXT)",
        "CREATE VIRTUAL TABLE facts USING fts5 (words)",
        "CREATE VIEW people AS SELECT user_id FROM users",
        "ALTER TABLE users DROP COLUMN last_name",
    ],
)
def test_a_change_of_the_schema_of_sqlite_that_is_not_listed_is_noticed(
    analyzed: apsw.Connection, change: str
) -> None:
    analyzed.execute(change)
    with pytest.raises(AssertionError, match=r"in neither list|and not there"):
        assert_all_are_listed(columns_of_sqlite(analyzed), "sqlite")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD COLUMN telephone text",
        "CREATE TABLE summaries (session_id text, content text)",
        "CREATE MATERIALIZED VIEW people AS SELECT user_id FROM users",
        "ALTER TABLE users DROP COLUMN last_name",
    ],
)
def test_a_change_of_the_schema_of_postgres_that_is_not_listed_is_noticed(
    postgres: str, change: str
) -> None:
    rows(postgres, change)
    with pytest.raises(AssertionError, match=r"in neither list|and not there"):
        assert_all_are_listed(columns_of_postgres(postgres), "postgres")


# What is made from the lists.


def test_everything_in_the_lists_says_what_it_is_and_how_it_goes() -> None:
    for table in PERSONAL:
        assert table.of, table.name
        assert table.goes, table.name
        assert all(place.what for place in table.places), table.name
    for each in IMPERSONAL:
        assert each.why, each.table


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_table_of_ours_that_holds_texts_is_looked_into(dialect: str) -> None:
    looked = {look.table.name for look in looks(dialect)}
    only_hashes = {"tombstones"}
    assert set(columns_with_personal_data(dialect)) - only_hashes == looked
    for look in looks(dialect):
        columns = {place.column for place in (*look.marks, *look.texts)}
        for place in look.table.of_dialect(dialect):
            is_passed_over = place.holds in {Holds.HASH, Holds.TRACE}
            assert place.column in columns or is_passed_over, place


def test_a_purge_of_postgres_writes_every_table_with_data_of_people_anew(postgres: str) -> None:
    tables = {
        table for (table,) in rows(postgres, "SELECT relname FROM pg_class WHERE relkind = 'r'")
    }
    purged = columns_with_personal_data("postgres")
    assert {"users", "sessions", "messages", "erasures", "idempotency"} < set(purged) <= tables


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_queries_of_looks_are_sql_on_the_real_schema(postgres: str, dialect: str) -> None:
    queries = load_queries(dialect) | look_queries(dialect)
    engine: Engine
    if dialect == "sqlite":
        engine = SqliteEngine(":memory:", queries)
    else:
        engine = PostgresEngine(postgres, queries, pool_size=1)

    def look(tx: Transaction) -> None:
        for each in looks(dialect):
            for values in ({}, {"texts": True}):
                tx.fetch_all(each.reading, tuple_of, project_id=1, limit=1, **values)
            tx.fetch_all(each.measuring, tuple_of, project_id=1, limit=1)

    with closing(engine):
        engine.read(look)


def test_a_look_at_sqlite_takes_no_way_but_the_key(sqlite: apsw.Connection) -> None:
    for each in looks("sqlite"):
        text = look_queries("sqlite")[each.reading].text({"texts": True, "after_0": 1})
        values = dict.fromkeys(("project_id", "after_0", "limit"), 1)
        [step] = [row[3] for row in sqlite.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        assert "rowid>?" in step or "key>?" in step


def tuple_of(*values: object) -> tuple[object, ...]:
    return values
