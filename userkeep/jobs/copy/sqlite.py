"""A SQLite file as the source or the target of a copy."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import apsw

from userkeep.domain.errors import StorageError
from userkeep.jobs.copy.job import START_AGAIN
from userkeep.jobs.copy.tables import INCOMPLETE_MARKER, NUMBERED, Key, Row, Table
from userkeep.storage.migrations import check_is_current
from userkeep.storage.sqlite.connection import opening_problem
from userkeep.storage.sqlite.engine import lock_file, open_migrated
from userkeep.storage.sqlite.file_lock import FileLock
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.storage.sqlite.read_only import open_read_only

_CACHED_KIB = 32_000
_LOG_PAGES = 4_000


class SqliteTables:
    """The tables of a file; see `job.Source` and `job.Target`."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self.place = path
        self._connection = connection
        connection.pragma("cache_size", -_CACHED_KIB)

    def instance_value(self, name: str) -> str | None:
        """Return a value of the table `instance`."""
        with self._errors():
            value = self._connection.execute(
                "SELECT value FROM instance WHERE name = ?", (name,)
            ).get
        return None if value is None else str(value)

    def count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        with self._errors():
            return self._connection.execute(table.select_count).get  # type: ignore[no-any-return]

    def rows(self, table: Table) -> Iterator[Row]:
        """Iterate over the rows of a table, in the order of its key."""
        with self._errors():
            yield from self._connection.execute(table.select)

    def sequences(self) -> dict[str, int]:
        """Return the greatest number that was ever assigned, for each numbered table."""
        with self._errors():
            given = dict(
                self._connection.execute("SELECT name, seq FROM sqlite_sequence WHERE seq > 0")
            )
        return {table.name: given[table.name] for table in NUMBERED if table.name in given}

    def start(self, source: str) -> None:
        """Mark the database as an incomplete copy."""
        with self._transaction():
            if self.instance_value(INCOMPLETE_MARKER) is None:
                self._connection.execute("DELETE FROM projects")
            self._connection.execute("DELETE FROM instance")
            self._connection.execute(
                "INSERT INTO instance (name, value) VALUES (?, ?)", (INCOMPLETE_MARKER, source)
            )

    def last_key(self, table: Table) -> Key | None:
        """Return the greatest key of a table."""
        with self._errors():
            return self._connection.execute(table.select_last_key).fetchone()

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows."""
        try:
            with self._transaction():
                self._connection.executemany(_insert(table), rows)
        except apsw.ConstraintError as error:
            raise StorageError(
                f"Rows of {table.name} do not fit with those that {self.place} has: {error}. The "
                f"source has changed since the copy started, or is damaged. {START_AGAIN}"
            ) from error

    def advance_sequences(self, numbers: Mapping[str, int]) -> None:
        """Let new rows have greater numbers than these."""
        # SQLite itself keeps the greatest number that it was given.
        with self._transaction():
            for name, number in numbers.items():
                self._connection.execute(
                    "INSERT INTO sqlite_sequence (name, seq) SELECT :name, 0 "
                    "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name);"
                    "UPDATE sqlite_sequence SET seq = max(seq, :number) WHERE name = :name",
                    {"name": name, "number": number},
                )

    def finish(self) -> None:
        """Remove the marker."""
        with self._transaction():
            self._connection.execute("DELETE FROM instance WHERE name = ?", (INCOMPLETE_MARKER,))
        with self._errors():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors(), self._connection:
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
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
    """Open a file for reading, and lock it, so that no other process writes to it.

    Raises:
        StorageError: it does not exist, another process has it open, or its schema is another.
    """
    lock = FileLock(path)
    try:
        with open_read_only(path) as connection:
            _check_schema(connection, path)
            yield SqliteTables(connection, path)
    finally:
        lock.release()


def _check_schema(connection: apsw.Connection, path: str) -> None:
    applied = applied_migrations(connection)
    command = f"userkeep migrate --database sqlite:///{path}"
    check_is_current("sqlite", path, applied, migrate_command=command)


@contextmanager
def target(path: str) -> Iterator[SqliteTables]:
    """Open a file for writing: lock it, create it if it is missing, and migrate its schema.

    Raises:
        StorageError: it cannot be created, another process has it open, or it belongs to another
            program.
    """
    lock = lock_file(path, None)
    try:
        connection = open_migrated(path)
        try:
            # Nothing waits for a single commit here, so a commit may also run the checkpoint.
            connection.wal_autocheckpoint(_LOG_PAGES)
            yield SqliteTables(connection, path)
        finally:
            connection.close()
    finally:
        lock.release()
