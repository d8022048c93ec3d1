"""Where a database is: its files, and how others get at it while it is in use."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Protocol

import apsw
import psycopg

from tests.long.looking import damage, orphans
from tests.postgres import OwnPostgresServer
from tests.residue.older import write_postgres, write_sqlite
from tests.residue.people import Person

SECRET = "the secret of the residue tests"
_TABLES = ("users", "sessions", "messages")


class Home(Protocol):
    """A database that a program may open, and another program look into.

    Attributes:
        url: for whom opens it.
        folder: for what belongs to the instance beside it.
        folders: all files that anything of a person can be in are below these.
    """

    url: str
    folder: Path

    @property
    def folders(self) -> list[Path]:
        """See above."""
        ...

    def name_of(self, file: Path) -> str:
        """What a file is, for people."""
        ...

    def write_older(self, people: list[Person], random: Random) -> None:
        """Let the database be an older program's, in which some people are."""
        ...

    def prepare(self) -> None:
        """Once the schema is there: see that what is written can be found by its bytes."""
        ...

    def tend(self, random: Random) -> None:
        """What administrators do now and then."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """A transaction of somebody else who reads, and sees what is there now to the end."""
        ...

    def crash(self) -> None:
        """Let the database itself crash, where it has a server, and start again."""
        ...

    def do_what_is_left(self, step: str, why: str) -> None:
        """What a purge could not do, and tells the administrator to."""
        ...

    def check(self) -> None:
        """Nothing is damaged, and nothing left behind."""
        ...


class SqliteHome:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "userkeep.db"
        self.url = f"sqlite:///{self.path}"

    @property
    def folders(self) -> list[Path]:
        """See Home."""
        return [self.folder]

    def name_of(self, file: Path) -> str:
        """See Home."""
        return file.name

    def write_older(self, people: list[Person], random: Random) -> None:
        """See Home."""
        write_sqlite(self.path, people, random)

    def prepare(self) -> None:
        """See Home."""

    def tend(self, random: Random) -> None:
        """See Home."""
        statement = random.choice(["ANALYZE", "PRAGMA optimize", "PRAGMA wal_checkpoint"])
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute(statement).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See Home."""
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM messages").fetchall()
            yield

    def crash(self) -> None:
        """See Home: it has no server."""

    def do_what_is_left(self, step: str, why: str) -> None:
        """See Home."""
        raise AssertionError(f"everything can be done on SQLite, but not {step}: {why}")

    def check(self) -> None:
        """See Home."""
        assert damage(self.path) == []
        assert orphans(self.path) == {}


class PostgresHome:
    """A database of a server whose data directory can be read.

    Its server has no compression but pglz, which cuts texts into pieces of eight bytes: so what is
    long is stored as it is.
    """

    def __init__(self, server: OwnPostgresServer, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.url = server.new_database()

    @property
    def folders(self) -> list[Path]:
        """See Home."""
        return [self.folder, self._server.data]

    def name_of(self, file: Path) -> str:
        """See Home."""
        place = str(file.relative_to(file.parents[2]))
        node = file.name.partition("_")[0].partition(".")[0]
        if not node.isdigit():
            return place
        relation = "SELECT CAST(pg_filenode_relation(0, CAST(%s AS oid)) AS text)"
        with psycopg.connect(self.url) as connection:
            [(name,)] = connection.execute(relation, [node]).fetchall()
        return f"{place} ({name or 'of no table'})"

    def write_older(self, people: list[Person], random: Random) -> None:
        """See Home."""
        write_postgres(self.url, people, random)

    def prepare(self) -> None:
        """See Home."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            columns = connection.execute(
                "SELECT attrelid::regclass, quote_ident(attname) FROM pg_attribute"
                " WHERE attrelid = ANY(CAST(%s AS regclass[])) AND attstorage = 'x'",
                [list(_TABLES)],
            ).fetchall()
            for table, column in columns:
                statement = f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL"
                connection.execute(statement.encode())

    def tend(self, random: Random) -> None:
        """See Home."""
        statement = random.choice(
            ["ANALYZE", "VACUUM", "CHECKPOINT", "VACUUM (ANALYZE)", "VACUUM (FULL) messages"]
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See Home."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT 1")  # no table: for its lock a purge would wait anyway
            yield

    def crash(self) -> None:
        """See Home."""
        self._server.stop("immediate")
        self._server.start()

    def do_what_is_left(self, step: str, why: str) -> None:
        """See Home: remove what a crash has left, as the purge names it."""
        files = re.findall(r"base/\d+/\d+\w*", why)
        assert (step, bool(files)) == ("orphaned files", True), (step, why)
        for file in files:
            (self._server.data / file).unlink()

    def check(self) -> None:
        """See Home."""
        assert orphans(self.url) == {}
