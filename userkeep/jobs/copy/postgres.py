"""A PostgreSQL database as the source or the target of a copy.

Rows travel by COPY, in binary, with the program's own values at this end: times are microseconds,
uuids and metadata are texts.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import sleep
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from userkeep.domain.errors import StorageError
from userkeep.domain.values.times import from_datetime
from userkeep.jobs.copy.job import START_AGAIN
from userkeep.jobs.copy.tables import INCOMPLETE_MARKER, NUMBERED, TABLES, Key, Row, Table
from userkeep.storage.migrations import check_is_current
from userkeep.storage.postgres.migrations import applied_migrations, migrate
from userkeep.storage.postgres.row_security import see_all_projects, turn_off
from userkeep.storage.postgres.server import describe_url, open_for_inspection, opening_problem
from userkeep.storage.postgres.statements import RowLoader

_LOCK = int.from_bytes(b"usercopy", "big")
_LOCK_TRIES = 50
_LOCK_PAUSE_S = 0.1
_EPOCH_2000 = from_datetime(datetime(2000, 1, 1, tzinfo=UTC))

# A database or a role may have limits that are meant for servers.
_SETTINGS = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
"""

_SEQUENCE = "CAST(pg_get_serial_sequence(%(table)s, 'number') AS regclass)"
_LAST_NUMBER = f"SELECT pg_sequence_last_value({_SEQUENCE})"
_ADVANCE = f"""
SELECT setval({_SEQUENCE}, greatest(%(number)s, pg_sequence_last_value({_SEQUENCE})))
"""


class PostgresTables:
    """The tables of a database; see `job.Source` and `job.Target`."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self.place = describe_url(url)
        self._url = url
        self._connection = connection
        connection.execute(_SETTINGS)
        see_all_projects(connection)
        RowLoader(connection)  # from now on its rows are integers, texts and None
        for type_name, dumper in _DUMPERS.items():
            dumper.oid = psycopg.adapters.types[type_name].oid
            connection.adapters.register_dumper(None, dumper)

    def instance_value(self, name: str) -> str | None:
        """Return a value of the table `instance`."""
        value = self._one("SELECT value FROM instance WHERE name = %(name)s", {"name": name})
        return None if value is None else str(value)

    def count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        return int(self._one(table.select_count))

    def rows(self, table: Table) -> Iterator[Row]:
        """Iterate over the rows of a table, in the order of its key."""
        types = self._types(table)
        with (
            self._errors(),
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY ({table.select}) TO STDOUT (FORMAT BINARY)".encode()) as copy,
        ):
            copy.set_types(types)
            yield from copy.rows()

    def sequences(self) -> dict[str, int]:
        """Return the greatest number that was ever assigned, for each numbered table."""
        given = {table.name: self._one(_LAST_NUMBER, {"table": table.name}) for table in NUMBERED}
        return {name: number for name, number in given.items() if number is not None}

    def start(self, source: str) -> None:
        """Mark the database as an incomplete copy."""
        with self._errors(), self._connection.transaction():
            # A server that opens the database at this moment must find the marker.
            self._connection.execute("LOCK TABLE instance IN SHARE ROW EXCLUSIVE MODE")
            if self.instance_value(INCOMPLETE_MARKER) is None:
                self._connection.execute("DELETE FROM projects")
            self._connection.execute("DELETE FROM instance")
            self._connection.execute(
                "INSERT INTO instance (name, value) VALUES (%s, %s)", (INCOMPLETE_MARKER, source)
            )

    def last_key(self, table: Table) -> Key | None:
        """Return the greatest key of a table."""
        with self._errors():
            return self._connection.execute(table.select_last_key.encode()).fetchone()

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows."""
        statement = f"COPY {table.name} ({table.listed_columns}) FROM STDIN (FORMAT BINARY)"
        types = self._types(table)
        try:
            with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise StorageError(
                f"Rows of {table.name} do not fit into {self.place}: {_first_line(error)}. The "
                f"source has changed since the copy started, or is damaged. {START_AGAIN}"
            ) from error
        except psycopg.Error as error:
            raise StorageError(opening_problem(error, self._url)) from error

    def advance_sequences(self, numbers: Mapping[str, int]) -> None:
        """Let new rows have greater numbers than these."""
        for name, number in numbers.items():
            self._one(_ADVANCE, {"table": name, "number": number})

    def finish(self) -> None:
        """Remove the marker."""
        # The planner has no statistics of rows that were copied.
        with self._errors():
            for table in TABLES:
                self._connection.execute(f"ANALYZE {table.name}".encode())
            self._connection.execute("DELETE FROM instance WHERE name = %s", [INCOMPLETE_MARKER])

    def _types(self, table: Table) -> list[int]:
        nothing = f"SELECT {table.listed_columns} FROM {table.name} LIMIT 0"  # noqa: S608
        with self._errors():
            described = self._connection.execute(nothing.encode()).description
        return [column.type_code for column in described or ()]

    def _one(self, statement: str, values: Mapping[str, Any] | None = None) -> Any:
        with self._errors():
            row = self._connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise StorageError(opening_problem(error, self._url)) from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]


class _InstantDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return int.to_bytes(obj - _EPOCH_2000, 8, "big", signed=True)


class _UuidDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return bytes.fromhex(obj.replace("-", ""))


class _JsonbDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return b"\x01" + str(obj).encode()  # the first byte is the version of the format


_DUMPERS: dict[str, type[Dumper]] = {
    "timestamptz": _InstantDumper,
    "uuid": _UuidDumper,
    "jsonb": _JsonbDumper,
}


@contextmanager
def source(url: str) -> Iterator[PostgresTables]:
    """Open a snapshot of a database; concurrent writes are not copied.

    Raises:
        StorageError: it cannot be reached or used, or its schema is another.
    """
    with open_for_inspection(url) as connection:
        tables = PostgresTables(connection, url)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _check_schema(connection, tables.place)
        yield tables


def _check_schema(connection: psycopg.Connection[Any], place: str) -> None:
    applied = applied_migrations(connection)
    check_is_current("postgres", place, applied, migrate_command="userkeep migrate")


@contextmanager
def target(url: str) -> Iterator[PostgresTables]:
    """Open a database for writing: migrate its schema, and lock it against other copies.

    Raises:
        StorageError: it cannot be reached or used, or it belongs to another program.
    """
    with open_for_inspection(url) as connection:
        migrate(url)
        tables = PostgresTables(connection, url)
        _lock(connection, tables.place)
        _turn_off_row_security(connection)
        yield tables


def _turn_off_row_security(connection: psycopg.Connection[Any]) -> None:
    """Turn row-level security off until a server opens the copy: COPY cannot add rows under it."""
    with connection.transaction():
        turn_off(connection)


def _lock(connection: psycopg.Connection[Any], place: str) -> None:
    # The server needs a moment to notice that the connection of a killed copy is closed.
    for _ in range(_LOCK_TRIES):
        [(is_ours,)] = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if is_ours:
            return
        sleep(_LOCK_PAUSE_S)
    raise StorageError(f"Another copy into {place} is running; wait for its end.")
