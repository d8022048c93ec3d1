"""Stories told one after the other, each in a database of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import OwnPostgresServer
from tests.residue.homes import Home, PostgresHome, SqliteHome
from tests.residue.stories import Plan, tell

ENGINES = ("sqlite", "postgres")

# As a server in production, and not as one for tests: it writes whole pages into its log, and what
# was asked into its server log.
SETTINGS = {
    "full_page_writes": "on",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "log_min_error_statement": "error",
    "autovacuum_naptime": "1s",
}


class Stage:
    """Where stories are told: it has a PostgreSQL server of its own, when one is needed."""

    def __init__(self) -> None:
        self._server: OwnPostgresServer | None = None

    def tell(self, engine: str, seed: int) -> Plan:
        """Tell a story.

        Raises:
            AssertionError: see stories.tell.
        """
        folder = Path(tempfile.mkdtemp(prefix="userkeep-residue-"))
        try:
            with self._home(engine, folder) as home:
                return tell(seed, home)
        except BaseException as error:
            error.add_note(f"To tell it again: make residue SEED={seed} ENGINE={engine}")
            raise
        finally:
            shutil.rmtree(folder)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._server is not None:
            self._server.close()

    @contextmanager
    def _home(self, engine: str, folder: Path) -> Iterator[Home]:
        if engine == "sqlite":
            yield SqliteHome(folder)
            return
        if self._server is None:
            self._server = OwnPostgresServer(settings=SETTINGS)
        home = PostgresHome(self._server, folder)
        yield home
        self._server.drop_database(home.url)
