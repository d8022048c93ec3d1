"""Databases: their files, and what other programs do with them while they are in use."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Protocol

import apsw
import psycopg

from tests.long.inspection import damage, orphans
from tests.postgres import OwnPostgresServer
from tests.residue.unindexed import write_postgres, write_sqlite
from tests.residue.users import ExpectedUser

SECRET = "the secret of the residue tests"
_TABLES = ("users", "sessions", "messages")


class Database(Protocol):
    """A database that an instance opens, and other programs read.

    Attributes:
        url: the URL of the database.
        folder: the folder for the other files of the instance.
        folders: the folders of all files that can contain data of users.
    """

    url: str
    folder: Path

    @property
    def folders(self) -> list[Path]: ...

    def name_of(self, file: Path) -> str:
        """Return a description of a file."""
        ...

    def write_unindexed(self, users: list[ExpectedUser], random: Random) -> None:
        """Create the schema and write users directly with SQL, without an index."""
        ...

    def prepare(self) -> None:
        """Turn off compression once the schema exists, so that a scan finds texts."""
        ...

    def maintain(self, random: Random) -> None:
        """Run a random maintenance statement, as administrators do."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Keep a snapshot of the current data open in another connection."""
        ...

    def crash(self) -> None:
        """Crash the database server, if there is one, and start it again."""
        ...

    def do_skipped_step(self, step: str, reason: str) -> None:
        """Do what a purge has skipped and reports to the administrator."""
        ...

    def check(self) -> None:
        """Check that the database is consistent."""
        ...


class SqliteDatabase:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "userkeep.db"
        self.url = f"sqlite:///{self.path}"

    @property
    def folders(self) -> list[Path]:
        return [self.folder]

    def name_of(self, file: Path) -> str:
        return file.name

    def write_unindexed(self, users: list[ExpectedUser], random: Random) -> None:
        write_sqlite(self.path, users, random)

    def prepare(self) -> None:
        """Do nothing: SQLite does not compress."""

    def maintain(self, random: Random) -> None:
        statement = random.choice(["ANALYZE", "PRAGMA optimize", "PRAGMA wal_checkpoint"])
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute(statement).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM messages").fetchall()
            yield

    def crash(self) -> None:
        """Do nothing: there is no server."""

    def do_skipped_step(self, step: str, reason: str) -> None:
        raise AssertionError(f"a purge skips nothing on SQLite, but skipped {step}: {reason}")

    def check(self) -> None:
        assert damage(self.path) == []
        assert orphans(self.path) == {}


class PostgresDatabase:
    """A database of a server whose data directory is readable.

    Its only compression is pglz, which splits texts into pieces of eight bytes; so compression of
    long values is turned off.
    """

    def __init__(self, server: OwnPostgresServer, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.url = server.new_database()

    @property
    def folders(self) -> list[Path]:
        return [self.folder, self._server.data]

    def name_of(self, file: Path) -> str:
        path = str(file.relative_to(file.parents[2]))
        node = file.name.partition("_")[0].partition(".")[0]
        if not node.isdigit():
            return path
        relation = "SELECT CAST(pg_filenode_relation(0, CAST(%s AS oid)) AS text)"
        with psycopg.connect(self.url) as connection:
            [(name,)] = connection.execute(relation, [node]).fetchall()
        return f"{path} ({name or 'no table'})"

    def write_unindexed(self, users: list[ExpectedUser], random: Random) -> None:
        write_postgres(self.url, users, random)

    def prepare(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            columns = connection.execute(
                "SELECT attrelid::regclass, quote_ident(attname) FROM pg_attribute"
                " WHERE attrelid = ANY(CAST(%s AS regclass[])) AND attstorage = 'x'",
                [list(_TABLES)],
            ).fetchall()
            for table, column in columns:
                statement = f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL"
                connection.execute(statement.encode())

    def maintain(self, random: Random) -> None:
        statement = random.choice(
            ["ANALYZE", "VACUUM", "CHECKPOINT", "VACUUM (ANALYZE)", "VACUUM (FULL) messages"]
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT 1")  # no table: a purge would wait for its lock anyway
            yield

    def crash(self) -> None:
        self._server.stop("immediate")
        self._server.start()

    def do_skipped_step(self, step: str, reason: str) -> None:
        # A crash leaves files that the purge names; remove them.
        files = re.findall(r"base/\d+/\d+\w*", reason)
        assert (step, bool(files)) == ("orphaned files", True), (step, reason)
        for file in files:
            (self._server.data / file).unlink()

    def check(self) -> None:
        assert orphans(self.url) == {}
