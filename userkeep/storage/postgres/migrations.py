"""Applying migrations to a PostgreSQL database.

Several servers may start at the same time: each migration is applied under an advisory lock that
lasts as long as its transaction, after checking again, with the lock, which ones are missing.
"""

from typing import Any

import psycopg

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import (
    Migration,
    check_history,
    check_is_current,
    load_migrations,
    log_applied,
)
from userkeep.storage.postgres.pooler import check_not_shared
from userkeep.storage.postgres.server import connect, describe_url, open_for_inspection

_LOCK_KEY = int.from_bytes(b"userkeep", "big")
LOCK_WAIT_S = 30
"""How long a change of the schema waits for locks."""

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer NOT NULL PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL
)
"""

# Row-level security may be on already; see row_security.
_SEE_ALL_PROJECTS = "SELECT set_config('userkeep.project_id', 'all', true)"

# The columns are compared, because other programs have tables of this name. Not with to_regclass:
# while this waits for the advisory lock, PostgreSQL caches that there was no such table.
_TABLE_EXISTS = """
SELECT count(*) = 3 FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'schema_migrations'
    AND column_name IN ('number', 'name', 'applied_at')
"""


def migrate(url: str) -> list[Migration]:
    """Apply the missing migrations, each in a transaction; return those that were applied.

    Raises:
        StorageError: the database is another program's or from a newer version, or a migration
            failed and was rolled back; or a pooler shares its connections.
        psycopg.Error: the server cannot be reached.
    """
    known = load_migrations("postgres")
    applied: list[Migration] = []
    with connect(url) as connection:
        check_not_shared(connection, url)
        # Without the lock first, because most starts find nothing to do.
        while _missing(connection, known, url):
            migration = _apply_next(connection, known, url)
            if migration is not None:
                applied.append(migration)
                log_applied(migration, is_new=applied[0] == known[0])
    return applied


def check_is_migrated(url: str) -> None:
    """Check that a database that is only read has the schema of this program.

    Raises:
        StorageError: it has not, or cannot be used.
        psycopg.Error: it cannot be reached.
    """
    with connect(url) as connection:
        check_not_shared(connection, url)
        applied = applied_migrations(connection)
    check_is_current("postgres", describe_url(url), applied, migrate_command="userkeep migrate")


def read_applied(database: str) -> dict[int, str]:
    """Return the steps that a database has taken, without changing it.

    Raises:
        StorageError: it cannot be reached or used.
    """
    with open_for_inspection(database) as connection:
        return applied_migrations(connection)


def applied_migrations(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """Return the migrations that were applied to the database: number to name."""
    [(exists,)] = connection.execute(_TABLE_EXISTS)
    if not exists:
        return {}
    return dict(connection.execute("SELECT number, name FROM schema_migrations").fetchall())


def lock_schema(connection: psycopg.Connection[Any]) -> None:
    """Wait until no other process changes the schema; the lock ends with the transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])


def _missing(
    connection: psycopg.Connection[Any], known: list[Migration], url: str
) -> list[Migration]:
    applied = applied_migrations(connection)
    check_history(describe_url(url), applied, known)
    return [migration for migration in known if migration.number not in applied]


def check_is_empty(connection: psycopg.Connection[Any], url: str) -> None:
    """Check that a new database has no tables of another program.

    Raises:
        StorageError: it has; the message explains what to do.
    """
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LIMIT 1"
    ).fetchall()
    if tables:
        raise StorageError(
            f"{describe_url(url)} is another program's database: it has tables, and none of "
            "Userkeep's. Use another database, or an empty schema of this one by adding "
            "?options=-csearch_path%3Duserkeep to the URL; nothing was changed."
        )


def _apply_next(
    connection: psycopg.Connection[Any], known: list[Migration], url: str
) -> Migration | None:
    """Apply the first missing migration; None if another server has just applied the last."""
    try:
        with connection.transaction():
            lock_schema(connection)
            missing = _missing(connection, known, url)
            if not missing:
                return None
            if len(missing) == len(known):
                check_is_empty(connection, url)
            # Everyone queues behind this migration while it waits for a lock.
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
            connection.execute(_SEE_ALL_PROJECTS)
            connection.execute(_CREATE_TABLE)
            # One by one: a cluster sends a text on to its nodes, which expect one statement.
            for each in missing[0].statements:
                connection.execute(each.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, applied_at) VALUES (%s, %s, now())",
                (missing[0].number, missing[0].name),
            )
    except psycopg.Error as error:
        raise StorageError(
            f"The schema of {describe_url(url)} could not be migrated: "
            f"{' '.join(str(error).split())}. Nothing was changed."
        ) from error
    return missing[0]
