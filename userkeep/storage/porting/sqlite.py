"""A SQLite file as the source or the target of a port."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import load_migrations, newer_database
from userkeep.storage.porting.copying import START_ANEW
from userkeep.storage.porting.tables import MARK, NUMBERED, Key, Row, Table
from userkeep.storage.sqlite.connection import open_read_only, opening_problem
from userkeep.storage.sqlite.engine import lock_file, open_migrated
from userkeep.storage.sqlite.file_lock import FileLock
from userkeep.storage.sqlite.migrations import applied_migrations

_CACHED_KIB = 32_000
_LOG_PAGES = 4_000


class SqliteTables:
    """See copying.Readable and copying.Writable."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self.place = path
        self._connection = connection
        connection.pragma("cache_size", -_CACHED_KIB)

    def instance(self, name: str) -> str | None:
        """See copying.Readable."""
        with self._told():
            value = self._connection.execute(
                "SELECT value FROM instance WHERE name = ?", (name,)
            ).get
        return None if value is None else str(value)

    def count(self, table: Table) -> int:
        """See copying.Readable."""
        with self._told():
            return self._connection.execute(table.select_count).get  # type: ignore[no-any-return]

    def rows(self, table: Table) -> Iterator[Row]:
        """See copying.Readable."""
        with self._told():
            yield from self._connection.execute(table.select)

    def greatest_numbers(self) -> dict[str, int]:
        """See copying.Readable."""
        with self._told():
            given = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))
        return {table.name: given[table.name] for table in NUMBERED if table.name in given}

    def begin(self, source: str) -> None:
        """See copying.Writable."""
        with self._changing():
            if self.instance(MARK) is None:
                self._connection.execute("DELETE FROM projects")
            self._connection.execute("DELETE FROM instance")
            self._connection.execute(
                "INSERT INTO instance (name, value) VALUES (?, ?)", (MARK, source)
            )

    def last_key(self, table: Table) -> Key | None:
        """See copying.Writable."""
        with self._told():
            return self._connection.execute(table.select_last_key).fetchone()

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """See copying.Writable."""
        try:
            with self._changing():
                self._connection.executemany(_insert(table), rows)
        except apsw.ConstraintError as error:
            raise StorageError(
                f"Rows of {table.name} do not fit with those that {self.place} has: {error}. The "
                f"source has changed since the port began, or is damaged. {START_ANEW}"
            ) from error

    def go_on_after(self, numbers: Mapping[str, int]) -> None:
        """See copying.Writable. SQLite itself keeps the greatest number that it was given."""
        with self._changing():
            for name, number in numbers.items():
                self._connection.execute(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT :name, 0 "
                    "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name);"
                    "UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :name",
                    {"name": name, "number": number},
                )

    def finish(self) -> None:
        """See copying.Writable."""
        with self._changing():
            self._connection.execute("DELETE FROM instance WHERE name = ?", (MARK,))
        with self._told():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._told(), self._connection:
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except apsw.ConstraintError:
            raise
        except apsw.Error as error:
            raise StorageError(opening_problem(error, self.place)) from error


def _insert(table: Table) -> str:
    places = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({table.listed_columns}) VALUES ({places})"  # noqa: S608


@contextmanager
def source(path: str) -> Iterator[SqliteTables]:
    """A file that nobody else has, and that is only read.

    Raises:
        StorageError: it is not there, is held by another process, or is of another schema.
    """
    if not Path(path).is_file():
        raise StorageError(f"There is no database at {path}.")
    ownership = FileLock(path, None)
    try:
        with open_read_only(path) as connection:
            _check_schema(connection, path)
            yield SqliteTables(connection, path)
    finally:
        ownership.release()


def _check_schema(connection: apsw.Connection, path: str) -> None:
    applied = applied_migrations(connection)
    known = [step.number for step in load_migrations("sqlite")]
    if not applied:
        raise StorageError(f"{path} is not a database of Userkeep.")
    if max(applied) > known[-1]:
        raise StorageError(newer_database(path, max(applied), known[-1]))
    if set(applied) != set(known):
        raise StorageError(
            f"The schema of {path} is at step {max(applied)} of {known[-1]}: run `userkeep "
            f"migrate --database sqlite:///{path}` first."
        )


@contextmanager
def target(path: str) -> Iterator[SqliteTables]:
    """A file that nobody else has, made if missing, with its schema up to date.

    Raises:
        StorageError: it cannot be made, is held by another process, or is another program's.
    """
    ownership = lock_file(path, None)
    try:
        connection = open_migrated(path)
        try:
            # Nobody waits for an answer here, so the log may be copied back within a commit.
            connection.wal_autocheckpoint(_LOG_PAGES)
            yield SqliteTables(connection, path)
        finally:
            connection.close()
    finally:
        ownership.release()
