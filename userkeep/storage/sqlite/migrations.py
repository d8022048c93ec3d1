"""Applying migrations to a SQLite file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, check_history, load_migrations, log_applied
from userkeep.storage.sqlite.connection import MEMORY, opening_problem
from userkeep.storage.sqlite.files import check_is_file
from userkeep.storage.sqlite.read_only import open_read_only
from userkeep.storage.sqlite.upgrade_copy import check_space, make_copy

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
    """Apply the missing migrations, all of them or none; return those that were applied.

    A database that had a schema before is copied first; see `upgrade_copy`.

    Raises:
        StorageError: the file is from a newer version, there is no room for a copy, or a migration
            failed and was rolled back.
    """
    copy: Path | None = None
    try:
        applied = applied_migrations(connection)
        known = load_migrations("sqlite")
        check_history(path, applied, known)
        missing = [migration for migration in known if migration.number not in applied]
        if not missing:
            return []
        if applied:
            check_space(path)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        with _transaction(connection):
            if applied:
                copy = make_copy(path, max(applied))
            connection.execute(_CREATE_TABLE)
            for migration in missing:
                _apply(connection, migration)
    except apsw.Error as error:
        raise StorageError(_failure(error, path, copy)) from error
    for migration in missing:
        log_applied(migration, is_new=not applied)
    return missing


def _failure(error: apsw.Error, path: str, copy: Path | None) -> str:
    problem = opening_problem(error, path)
    if copy is None:
        return problem
    return (
        f"{problem} The migration was rolled back: the database is as it was. {copy} is a copy of "
        "it, with personal data."
    )


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


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _apply(connection: apsw.Connection, migration: Migration) -> None:
    connection.execute(migration.sql)
    connection.execute(
        "INSERT INTO schema_migrations (number, name, applied_at) VALUES (?, ?, ?)",
        (migration.number, migration.name, time_ns() // 1000),
    )
