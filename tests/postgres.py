"""PostgreSQL for tests: one server for the whole run, whose log must not contain personal data.

As a command it runs another one with a fresh database's URL in USERKEEP_DATABASE_URL:

    python -m tests.postgres -- .venv/bin/userkeep serve
"""

import atexit
import functools
import os
import subprocess
import sys

from devtools import postgres
from devtools.postgres import GIVEN, PostgresServer
from tests.logs import check_log
from userkeep.storage.postgres import PostgresEngine
from userkeep.storage.queries import load_queries

# A verification reads all of the WAL, and a purge switches through the files kept for reuse.
WAL = {"min_wal_size": "2MB", "max_wal_size": "16MB"}


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


def migrated_database() -> str:
    """Create a database with the schema and nothing in it; return its URL."""
    return postgres_server().new_database(copied_from=_template())


@functools.cache
def _template() -> str:
    url = postgres_server().new_database()
    PostgresEngine(url, load_queries("postgres")).close()
    return url


def main() -> int:
    """Run the command after `--` with a fresh database."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    server = postgres_server()
    addresses = {"USERKEEP_DATABASE_URL": server.new_database(), GIVEN: server.url}
    return subprocess.run(command, env=os.environ | addresses, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
