"""The schema as Userkeep describes it is the schema of both databases.

Whoever adds a table or a column says in userkeep/storage/schema.py what personal data is in it and
how it is deleted, or why there is none. These tests compare the description with real databases,
and fail until it is complete.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.postgres import postgres_server
from tests.storage.postgres.notes import rows
from userkeep.domain.transaction import Transaction
from userkeep.jobs.verify.table_scans import scan_queries, table_scans
from userkeep.storage.engine import Engine
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.postgres.migrations import migrate as migrate_postgres
from userkeep.storage.queries import DIALECTS, load_queries
from userkeep.storage.schema import (
    TABLES,
    Kind,
    NonPersonalColumn,
    PersonalColumn,
    columns_to_purge,
    tables_of,
)
from userkeep.storage.sqlite import SqliteEngine
from userkeep.storage.sqlite.connection import connect
from userkeep.storage.sqlite.migrations import migrate as migrate_sqlite

Column = tuple[str, str]
Key = tuple[str, frozenset[str]]

# ANALYZE creates its tables only if there are rows.
ANALYZE = """
INSERT INTO users (project_id, user_id, uuid, state, revision, created_at, updated_at)
VALUES (1, 'jane', 'u', 'active', 1, 1, 1);
ANALYZE;
"""

# Also of pg_statistic, the only table of the server with samples of columns.
_POSTGRES_COLUMNS = """
SELECT relname, attname
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE attnum > 0 AND NOT attisdropped AND relkind NOT IN ('i', 'I')
    AND (relnamespace = current_schema()::regnamespace OR pg_class.oid = 'pg_statistic'::regclass)
"""

_POSTGRES_KEYS = """
SELECT relname, array(SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND
    attnum = ANY (conkey))
FROM pg_constraint JOIN pg_class ON conrelid = pg_class.oid
WHERE contype IN ('p', 'u')
"""

_NEVER_SAMPLED = """
SELECT relname, attname
FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
WHERE attstattarget = 0 AND relkind = 'r'
"""


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A freshly migrated file."""
    path = tmp_path / "userkeep.db"
    path.touch()
    with closing(connect(str(path))) as connection:
        migrate_sqlite(connection, str(path))
        yield connection


@pytest.fixture
def analyzed(sqlite: apsw.Connection) -> apsw.Connection:
    """The same, with the tables that SQLite creates itself."""
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


def keys_of_sqlite(connection: apsw.Connection) -> Iterator[Key]:
    """Every primary key and every unique constraint."""
    for row in connection.execute("PRAGMA main.table_list"):
        columns = connection.execute(f"PRAGMA main.table_info({row[1]})").fetchall()
        yield row[1], frozenset(str(name) for _, name, _, _, _, place in columns if place)
        for index in connection.execute(f"PRAGMA main.index_list({row[1]})").fetchall():
            if index[2]:
                found = connection.execute(f"PRAGMA main.index_info({index[1]})")
                yield row[1], frozenset(str(name) for _, _, name in found)


def columns_of_postgres(url: str) -> set[Column]:
    """Every column of every table, sequences included, and of pg_statistic."""
    return {(str(table), str(column)) for table, column in rows(url, _POSTGRES_COLUMNS)}


def keys_of_postgres(url: str) -> set[Key]:
    """Every primary key and every unique constraint."""
    return {(str(table), frozenset(columns)) for table, columns in rows(url, _POSTGRES_KEYS)}


def described_columns(dialect: str) -> list[Column]:
    """Every column that the description has for an engine."""
    return [
        (table.name, column.name)
        for table in tables_of(dialect)
        for column in table.columns
        if dialect in column.engines
    ]


def described_keys(dialect: str) -> set[Key]:
    """Every key that the description has for an engine."""
    return {(table.name, frozenset(table.key)) for table in tables_of(dialect) if table.key}


def assert_is_described(there: set[Column], dialect: str) -> None:
    names = described_columns(dialect)
    assert there - set(names) == set(), "exists but is not described"
    assert set(names) - there == set(), "is described but does not exist"
    assert len(names) == len(set(names)), "is described twice"


def test_every_column_of_sqlite_is_described(analyzed: apsw.Connection) -> None:
    assert_is_described(columns_of_sqlite(analyzed), "sqlite")


def test_every_column_of_postgres_is_described(postgres: str) -> None:
    assert_is_described(columns_of_postgres(postgres), "postgres")


def test_the_keys_are_keys_on_both_engines(sqlite: apsw.Connection, postgres: str) -> None:
    assert described_keys("sqlite") <= set(keys_of_sqlite(sqlite))
    assert described_keys("postgres") <= keys_of_postgres(postgres)


# These comparisons notice changes.


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
def test_a_change_of_sqlites_schema_that_is_not_described_is_noticed(
    analyzed: apsw.Connection, change: str
) -> None:
    analyzed.execute(change)
    with pytest.raises(AssertionError, match=r"not described|does not exist"):
        assert_is_described(columns_of_sqlite(analyzed), "sqlite")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ADD COLUMN telephone text",
        "CREATE TABLE summaries (session_id text, content text)",
        "CREATE MATERIALIZED VIEW people AS SELECT user_id FROM users",
        "ALTER TABLE users DROP COLUMN last_name",
    ],
)
def test_a_change_of_postgres_schema_that_is_not_described_is_noticed(
    postgres: str, change: str
) -> None:
    rows(postgres, change)
    with pytest.raises(AssertionError, match=r"not described|does not exist"):
        assert_is_described(columns_of_postgres(postgres), "postgres")


# The description itself, and what is derived from it.


def test_all_personal_data_has_an_owner_a_description_and_a_way_to_be_deleted() -> None:
    for table in TABLES:
        for column in table.columns:
            match column:
                case PersonalColumn():
                    assert column.description, (table.name, column.name)
                    assert table.owner, table.name
                    assert table.deletion, table.name
                case NonPersonalColumn():
                    assert column.reason, (table.name, column.name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_verification_scans_every_column_with_ids_or_texts(dialect: str) -> None:
    scanned = {scan.table.name for scan in table_scans(dialect)}
    only_hashes = {"tombstones"}
    assert set(columns_to_purge(dialect)) - only_hashes == scanned
    for scan in table_scans(dialect):
        columns = (*scan.id_columns, *scan.text_columns)
        for column in scan.table.personal_columns(dialect):
            assert column in columns or column.kind in {Kind.HASH, Kind.INCIDENTAL}, column


def test_a_purge_of_postgres_rewrites_every_table_with_personal_data(postgres: str) -> None:
    tables = {
        table for (table,) in rows(postgres, "SELECT relname FROM pg_class WHERE relkind = 'r'")
    }
    purged = columns_to_purge("postgres")
    assert {"users", "sessions", "messages", "erasures", "idempotency"} < set(purged) <= tables


def test_postgres_samples_no_column_with_ids_or_texts(postgres: str) -> None:
    never_sampled = set(rows(postgres, _NEVER_SAMPLED))
    kinds = {Kind.ID, Kind.TEXT, Kind.JSON, Kind.TERMS}
    for table in tables_of("postgres"):
        for column in table.personal_columns("postgres"):
            is_sampled = (table.name, column.name) not in never_sampled
            assert table.is_internal or column.kind not in kinds or not is_sampled, column


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_queries_of_scans_are_valid_on_the_real_schema(postgres: str, dialect: str) -> None:
    queries = load_queries(dialect) | scan_queries(dialect)
    engine: Engine
    if dialect == "sqlite":
        engine = SqliteEngine(":memory:", queries)
    else:
        engine = PostgresEngine(postgres, queries, pool_size=1)

    def run(tx: Transaction) -> None:
        for scan in table_scans(dialect):
            for values in ({}, {"texts": True}):
                tx.fetch_all(scan.rows_query, tuple_of, project_id=1, limit=1, **values)
            tx.fetch_all(scan.size_query, tuple_of, project_id=1, limit=1)

    with closing(engine):
        engine.read(run)


def test_a_scan_of_sqlite_uses_only_the_key(sqlite: apsw.Connection) -> None:
    for scan in table_scans("sqlite"):
        text = scan_queries("sqlite")[scan.rows_query].text({"texts": True, "after_0": 1})
        after = (f"after_{number}" for number in range(len(scan.key)))
        values = dict.fromkeys(("project_id", *after, "limit"), 1)
        [step] = [row[3] for row in sqlite.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        assert any(
            key in step
            for key in (
                "rowid>?",
                "key>?",
                " uuid>?",
                "user_id>?",
                "word,user_id)>(",
                "collection>?",
                "collection,seq)>(",
                "model_id)>(",
            )
        )


def tuple_of(*values: object) -> tuple[object, ...]:
    return values
