"""Run random histories, each in a separate database."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import OwnPostgresServer
from tests.residue.databases import Database, PostgresDatabase, SqliteDatabase
from tests.residue.histories import Plan, run_history

ENGINES = ("sqlite", "postgres")

# Like a production server, unlike other test servers: full pages in the WAL, and failed statements
# in the server log.
SETTINGS = {
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "log_min_error_statement": "error",
    "autovacuum_naptime": "1s",
}


class Runner:
    """Runs histories, with a separate PostgreSQL server if one is needed."""

    def __init__(self) -> None:
        self._server: OwnPostgresServer | None = None

    def run(self, engine: str, seed: int) -> Plan:
        """Run the history of a seed.

        Raises:
            AssertionError: see histories.run_history.
        """
        folder = Path(tempfile.mkdtemp(prefix="userkeep-residue-"))
        try:
            with self._database(engine, folder) as database:
                return run_history(seed, database)
        except BaseException as error:
            error.add_note(f"To run it again: make residue SEED={seed} ENGINE={engine}")
            raise
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        """Stop the PostgreSQL server."""
        if self._server is not None:
            self._server.close()

    @contextmanager
    def _database(self, engine: str, folder: Path) -> Iterator[Database]:
        if engine == "sqlite":
            yield SqliteDatabase(folder)
            return
        if self._server is None:
            self._server = OwnPostgresServer(settings=SETTINGS)
        database = PostgresDatabase(self._server, folder)
        yield database
        self._server.drop_database(database.url)
