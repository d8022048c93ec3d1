"""The versions of the databases and their drivers, for results."""

from importlib.metadata import version

import apsw
import psycopg


def sqlite_version() -> str:
    """Return the version of SQLite and of its driver."""
    return f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})"


def postgres_version(url: str) -> str:
    """Return the version of a PostgreSQL server, of its driver and of libpq."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    libpq = psycopg.pq.version_pretty(psycopg.pq.version())
    return f"{row[0]} (psycopg {version('psycopg')}, libpq {libpq})"
