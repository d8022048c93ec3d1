"""PostgreSQL for tests: one server for the whole run, whose log must not contain personal data.

As a command it runs another one with a fresh database's URL in USERKEEP_DATABASE_URL:

    python -m tests.postgres -- .venv/bin/userkeep serve
"""

import atexit
import functools
import os
import subprocess
import sys
from typing import LiteralString

import psycopg
from psycopg import sql

from devtools import postgres
from devtools.postgres import GIVEN, PostgresServer
from tests.logs import check_log
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.queries import load_queries

# A verification reads all of the WAL, and a purge switches through the files kept for reuse.
WAL = {"min_wal_size": "2MB", "max_wal_size": "16MB"}


# Those of docs/data-deletion/purging.md.
_PRIVILEGES: tuple[LiteralString, ...] = (
    "ALTER SCHEMA public OWNER TO {role}",
    "GRANT pg_checkpoint, pg_monitor TO {role}",
    "GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_control_checkpoint(), pg_ls_dir(text) TO {role}",
)


class OwnPostgresServer(postgres.OwnPostgresServer):
    """The same server, whose log is checked for personal data when it closes."""

    def check_log(self) -> None:
        """Fail if the server's log contains personal data."""
        check_log(self._postgres.log, self._data)


@functools.cache
def postgres_server() -> PostgresServer:
    """Return the server of this run: started on first use, stopped with the process."""
    given = os.environ.get(GIVEN)
    server = PostgresServer(given) if given else OwnPostgresServer(settings=WAL, wal_segment_mib=1)
    atexit.register(server.close)
    return server


def migrated_database(server: PostgresServer | None = None) -> str:
    """Create a database with the schema and nothing in it; return its URL.

    It takes half as long as to create an empty one and to run all migrations.

    Args:
        server: where; on the server of this run by default.
    """
    server = server or postgres_server()
    return _copied(server, _template(server))


def copy_of(url: str) -> str:
    """Copy a database without connections; return the copy's URL, for the same role."""
    original, mark, role = url.partition("&user=")
    return postgres_server().new_database(copied_from=original) + mark + role


def _copied(server: PostgresServer, template: str) -> str:
    """Copy a database; the copy is created now, and so has a deletion ledger of its own."""
    url = server.new_database(copied_from=template)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE projects SET created_at = clock_timestamp()")
    return url


@functools.cache
def _template(server: PostgresServer) -> str:
    url = server.new_database()
    PostgresEngine(url, load_queries("postgres")).close()
    return url


def row_secured_database() -> str:
    """Create the same with row-level security; return the URL of the role that owns the tables."""
    role, template = _row_secured_template()
    url = _copied(postgres_server(), template)
    _grant(url, "ALTER DATABASE {database} OWNER TO {role}", role)
    return as_role(url, role)


def owned_database() -> str:
    """Create an empty database of a role that is not a superuser; return the role's URL."""
    url, role = postgres_server().new_database(), postgres_server().new_role()
    _grant(url, "ALTER DATABASE {database} OWNER TO {role}", role)
    for statement in _PRIVILEGES:
        _grant(url, statement, role)
    return as_role(url, role)


@functools.cache
def _row_secured_template() -> tuple[str, str]:
    server = postgres_server()
    url, role = server.new_database(), server.new_role()
    for statement in _PRIVILEGES:
        _grant(url, statement, role)
    PostgresEngine(as_role(url, role), load_queries("postgres"), row_security=True).close()
    return role, url


def _grant(url: str, statement: LiteralString, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        names = {"database": sql.Identifier(connection.info.dbname), "role": sql.Identifier(role)}
        connection.execute(sql.SQL(statement).format(**names))


def as_role(url: str, role: str) -> str:
    """Return the URL with which a role connects."""
    return f"{url}&user={role}"


def superuser_url(url: str) -> str:
    """Return the URL without the role that `as_role` added."""
    return url.partition("&user=")[0]


def main() -> int:
    """Run the command after `--` with a fresh database."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    server = postgres_server()
    addresses = {"USERKEEP_DATABASE_URL": server.new_database(), GIVEN: server.url}
    return subprocess.run(command, env=os.environ | addresses, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
