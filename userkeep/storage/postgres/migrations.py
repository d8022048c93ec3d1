"""Bringing a PostgreSQL schema up to date, one recorded step at a time.

Any number of servers may start at once: each step is taken under an advisory lock that lasts as
long as its transaction, and looks again, under the lock, at which steps have been taken.
"""

from typing import Any

import psycopg

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import Migration, check_history, load_migrations
from userkeep.storage.postgres.connection import connect, place_of

_LOCK = int.from_bytes(b"userkeep", "big")
_LOCK_WAIT_S = 30

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer NOT NULL PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL
)
"""

# Other programs have tables of this name, with other columns. (Not with to_regclass: while it waits
# for the advisory lock, PostgreSQL keeps in mind that there was no such table.)
_IS_RECORD_THERE = """
SELECT count(*) = 3 FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'schema_migrations'
    AND column_name IN ('number', 'name', 'applied_at')
"""


def migrate(url: str) -> list[Migration]:
    """Apply what is missing, each step in a transaction with its record; gives what was applied.

    Raises:
        StorageError: the database is another program's, was made by a newer one, or a step failed
            (and left nothing).
        psycopg.Error: it cannot be reached.
    """
    known = load_migrations("postgres")
    applied: list[Migration] = []
    with connect(url) as connection:
        while _missing(connection, known, url):  # without the lock: most servers find nothing
            step = _apply_next(connection, known, url)
            if step is not None:
                applied.append(step)
    return applied


def applied_migrations(connection: psycopg.Connection[Any]) -> dict[int, str]:
    """The steps that the database has taken: number to name. A new one has none."""
    [(is_there,)] = connection.execute(_IS_RECORD_THERE)
    if not is_there:
        return {}
    return dict(connection.execute("SELECT number, name FROM schema_migrations").fetchall())


def _missing(
    connection: psycopg.Connection[Any], known: list[Migration], url: str
) -> list[Migration]:
    applied = applied_migrations(connection)
    check_history(place_of(url), applied, known)
    return [migration for migration in known if migration.number not in applied]


def check_is_empty(connection: psycopg.Connection[Any], url: str) -> None:
    """Refuse a database in which another program keeps its tables.

    Raises:
        StorageError: with a sentence that says what to do.
    """
    tables = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LIMIT 1"
    ).fetchall()
    if tables:
        raise StorageError(
            f"{place_of(url)} is another program's database: it has tables, and none of "
            "Userkeep's. Name another database, or an empty schema of this one by adding "
            "?options=-csearch_path%3Duserkeep to the URL; nothing was changed."
        )


def _apply_next(
    connection: psycopg.Connection[Any], known: list[Migration], url: str
) -> Migration | None:
    """Apply the first missing step; None where another server has just applied the last."""
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            missing = _missing(connection, known, url)
            if not missing:
                return None
            if len(missing) == len(known):
                check_is_empty(connection, url)
            # A lock that others hold for long would keep everybody behind this step waiting.
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'")
            connection.execute(_RECORD)
            connection.execute(missing[0].sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, applied_at) VALUES (%s, %s, now())",
                (missing[0].number, missing[0].name),
            )
    except psycopg.Error as error:
        raise StorageError(
            f"The schema of {place_of(url)} could not be brought up to date: "
            f"{' '.join(str(error).split())}. Nothing was changed."
        ) from error
    return missing[0]
