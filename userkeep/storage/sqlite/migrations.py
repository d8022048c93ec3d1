"""Applying migrations to a SQLite file."""

import os
from pathlib import Path
from time import time_ns

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, check_history, load_migrations, log_applied
from userkeep.storage.sqlite.connection import MEMORY, opening_problem
from userkeep.storage.sqlite.files import check_is_file
from userkeep.storage.sqlite.read_only import open_read_only

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


def check_is_ours(path: str) -> None:
    """Check, without changing it, that a file is Userkeep's database or empty, and writable.

    Raises:
        StorageError: it is not; the message explains what to do.
    """
    check_is_file(path)
    if not os.access(path, os.R_OK):
        raise StorageError(opening_problem(apsw.CantOpenError(), path))
    if not os.access(path, os.W_OK):
        raise StorageError(opening_problem(apsw.ReadOnlyError(), path))
    with open_read_only(path) as connection:
        is_empty = not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        if is_empty or applied_migrations(connection):
            return
    raise StorageError(
        f"{path} is another program's database: it has tables, and none of Userkeep's. "
        "Use another file; nothing was changed."
    )


def migrate(connection: apsw.Connection, path: str) -> list[Migration]:
    """Apply the missing migrations, each in a transaction; return those that were applied.

    Raises:
        StorageError: the file is from a newer version, or a migration failed and was rolled back.
    """
    try:
        applied = applied_migrations(connection)
        known = load_migrations("sqlite")
        check_history(path, applied, known)
        missing = [migration for migration in known if migration.number not in applied]
        for migration in missing:
            _apply(connection, migration)
            log_applied(migration, is_new=not applied)
    except apsw.Error as error:
        raise StorageError(opening_problem(error, path)) from error
    return missing


def read_applied(database: str) -> dict[int, str]:
    """Return the steps that a file has taken, without changing it; none if it does not exist.

    Raises:
        StorageError: it cannot be read as a database.
    """
    if database == MEMORY or not Path(database).exists():
        return {}
    with open_read_only(database) as connection:
        return applied_migrations(connection)


def applied_migrations(connection: apsw.Connection) -> dict[int, str]:
    """Return the migrations that were applied to the file: number to name."""
    if not connection.table_exists("main", "schema_migrations"):
        return {}
    return dict(connection.execute("SELECT number, name FROM schema_migrations"))


def _apply(connection: apsw.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_CREATE_TABLE)
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO schema_migrations (number, name, applied_at) VALUES (?, ?, ?)",
            (migration.number, migration.name, time_ns() // 1000),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
