"""PostgreSQL: a server of this run's own, or the one that USERKEEP_TEST_POSTGRES_URL names.

Its own keeps everything that a server in production does for what was committed. Databases are
copied from those of SQLite by the product's own command, once in a run, then inside the server.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bench.baseline.postgres import PostgresReplay
from bench.databases.sqlite import Fill, SqliteDatabases, check_space
from bench.harness.requests import Size
from bench.harness.servers import PRODUCT, PROGRAM, REPOSITORY, SECRET
from devtools.postgres import GIVEN, OwnPostgresServer, PostgresServer
from devtools.versions import postgres_version
from userkeep import Userkeep

_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
}
_SHOWN = (*_SETTINGS, "checkpoint_timeout", "max_connections")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class PostgresDatabases:
    """Databases on a server."""

    name = "PostgreSQL"
    dialect = "postgres"

    def __init__(self, folder: Path) -> None:
        given = os.environ.get(GIVEN)
        self._server = PostgresServer(given) if given else OwnPostgresServer(settings=_SETTINGS)
        self._sqlite = SqliteDatabases(folder)
        self._made: dict[str, str] = {}
        # A server that was given may run on another machine.
        self.has_processes = not given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def notes(self) -> Sequence[str]:
        if self.has_processes:
            return [
                "PostgreSQL's processes are on the load generator's core: all servers wait for "
                "them in the same way, and none is pushed from its own core by them"
            ]
        return ["PostgreSQL is a server that was given: where it runs is unknown"]

    def facts(self) -> Mapping[str, str]:
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
                [list(_SHOWN)],
            ).fetchall()
        settings = dict(rows)
        place = "on a Unix socket, its data on the disk above" if self.has_processes else "given"
        return {
            "PostgreSQL": f"{postgres_version(self._server.url)}, {place}",
            "its settings": ", ".join(f"{name}={settings[name]}" for name in _SHOWN),
        }

    def scratch(self) -> str:
        return self._server.new_database()

    def empty(self, _name: str) -> str:
        return self._server.new_database()

    def seeded(self, size: Size, name: str) -> str:
        return self.copied(self.large(size), name)

    def large(self, size: Size) -> str:
        return self._copy_of(self._sqlite.large(size))

    def filled(self, name: str, messages: int, fill: Fill) -> str:
        return self._copy_of(self._sqlite.filled(name, messages, fill))

    def copied(self, url: str, _name: str) -> str:
        check_space(self.bytes_of(url))
        copy = self._server.new_database()
        with self._connected() as connection:
            _alter(connection, "DROP DATABASE {}", _name_of(copy))
            _alter(
                connection,
                "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY",
                _name_of(copy),
                _name_of(url),
            )
        return copy

    def discard(self, url: str) -> None:
        with self._connected() as connection:
            _alter(connection, "DROP DATABASE {} WITH (FORCE)", _name_of(url))

    def bytes_of(self, url: str) -> int:
        with self._connected() as connection:
            row = connection.execute("SELECT pg_database_size(%s)", [_name_of(url)]).fetchone()
        assert row is not None
        return int(row[0])

    def parts_of(self, url: str) -> Mapping[str, int]:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT relname, CASE relkind WHEN 'i' THEN pg_relation_size(oid)"
                " ELSE pg_table_size(oid) END FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
            ).fetchall()
        return dict(rows)

    def used_bytes(self, url: str) -> int:
        with self._connected() as connection:
            [(log,)] = connection.execute("SELECT sum(size)::bigint FROM pg_ls_waldir()")
        return self.bytes_of(url) + int(log)

    def connections_of(self, url: str) -> int:
        with self._connected() as connection:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [_name_of(url)]
            )
        return int(number)

    def replay(self, url: str) -> PostgresReplay:
        return PostgresReplay(url)

    def cpu_s(self) -> float:
        return _cpu_s(self._postmaster) if self.has_processes else 0.0

    @cached_property
    def _postmaster(self) -> int:
        with self._connected() as connection:
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        return int(Path(row[0], "postmaster.pid").read_text().split()[0])

    def _copy_of(self, source: str) -> str:
        if source not in self._made:
            print("copying it to PostgreSQL …", flush=True)
            began = perf_counter()
            target = self._server.new_database()
            done = subprocess.run(
                [*PROGRAM, "copy", source, target],
                cwd=REPOSITORY,
                env=PRODUCT.environment({"SECRET": SECRET}),
                capture_output=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr.decode())
            Userkeep.open(target, secret=SECRET).close()  # builds the index
            with psycopg.connect(target, autocommit=True) as connection:
                connection.execute("VACUUM (FULL, ANALYZE)")  # it left dead rows
            megabytes = self.bytes_of(target) >> 20
            print(f"  {perf_counter() - began:.0f} s, {megabytes:,} MiB", flush=True)
            self._made[source] = target
        return self._made[source]

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.url, autocommit=True)


def _name_of(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


def _alter(connection: psycopg.Connection[Any], statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _cpu_s(postmaster: int) -> float:
    """Return the processor seconds of a server's processes, those that ended included."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    used = 0.0
    for process in (str(postmaster), *children):
        with suppress(FileNotFoundError, ProcessLookupError):
            used += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    after_name = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    return used + (int(after_name[13]) + int(after_name[14])) / _TICKS_PER_SECOND
