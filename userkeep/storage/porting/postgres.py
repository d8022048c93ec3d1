"""A PostgreSQL database as the source or the target of a port.

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
from userkeep.storage.migrations import load_migrations, newer_database
from userkeep.storage.porting.copying import START_ANEW
from userkeep.storage.porting.tables import MARK, NUMBERED, TABLES, Key, Row, Table
from userkeep.storage.postgres.migrations import applied_migrations, migrate
from userkeep.storage.postgres.server import describe_url, open_for_inspection, opening_problem
from userkeep.storage.postgres.statements import RowLoader

_LOCK = int.from_bytes(b"recoport", "big")
_LOCK_TRIES = 50
_LOCK_PAUSE_S = 0.1
_EPOCH_2000 = from_datetime(datetime(2000, 1, 1, tzinfo=UTC))

# A database or a user may have limits, which are meant for those who serve.
_SETTINGS = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
"""

_SEQUENCE = "CAST(pg_get_serial_sequence(%(table)s, 'number') AS regclass)"
_GREATEST_NUMBER = f"SELECT pg_sequence_last_value({_SEQUENCE})"
_GO_ON_AFTER = f"""
SELECT setval({_SEQUENCE}, greatest(%(number)s, pg_sequence_last_value({_SEQUENCE})))
"""


class PostgresTables:
    """See copying.Readable and copying.Writable."""

    def __init__(self, connection: psycopg.Connection[Any], url: str) -> None:
        self.place = describe_url(url)
        self._url = url
        self._connection = connection
        connection.execute(_SETTINGS)
        RowLoader(connection)  # from now on its rows are integers, texts and None
        for type_name, dumper in _DUMPERS.items():
            dumper.oid = psycopg.adapters.types[type_name].oid
            connection.adapters.register_dumper(None, dumper)

    def instance(self, name: str) -> str | None:
        """See copying.Readable."""
        value = self._one("SELECT value FROM instance WHERE name = %(name)s", {"name": name})
        return None if value is None else str(value)

    def count(self, table: Table) -> int:
        """See copying.Readable."""
        return int(self._one(table.select_count))

    def rows(self, table: Table) -> Iterator[Row]:
        """See copying.Readable."""
        types = self._types(table)
        with (
            self._told(),
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY ({table.select}) TO STDOUT (FORMAT BINARY)".encode()) as copy,
        ):
            copy.set_types(types)
            yield from copy.rows()

    def greatest_numbers(self) -> dict[str, int]:
        """See copying.Readable."""
        given = {
            table.name: self._one(_GREATEST_NUMBER, {"table": table.name}) for table in NUMBERED
        }
        return {name: number for name, number in given.items() if number is not None}

    def begin(self, source: str) -> None:
        """See copying.Writable."""
        with self._told(), self._connection.transaction():
            # A server that opens the database at this moment must find the mark.
            self._connection.execute("LOCK TABLE instance IN SHARE ROW EXCLUSIVE MODE")
            if self.instance(MARK) is None:
                self._connection.execute("DELETE FROM projects")
            self._connection.execute("DELETE FROM instance")
            self._connection.execute(
                "INSERT INTO instance (name, value) VALUES (%s, %s)", (MARK, source)
            )

    def last_key(self, table: Table) -> Key | None:
        """See copying.Writable."""
        with self._told():
            return self._connection.execute(table.select_last_key.encode()).fetchone()

    def write(self, table: Table, rows: Iterable[Row]) -> None:
        """See copying.Writable."""
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
                f"source has changed since the port began, or is damaged. {START_ANEW}"
            ) from error
        except psycopg.Error as error:
            raise StorageError(opening_problem(error, self._url)) from error

    def go_on_after(self, numbers: Mapping[str, int]) -> None:
        """See copying.Writable."""
        for name, number in numbers.items():
            self._one(_GO_ON_AFTER, {"table": name, "number": number})

    def finish(self) -> None:
        """See copying.Writable. The planner is told of what it has not seen grow."""
        with self._told():
            for table in TABLES:
                self._connection.execute(f"ANALYZE {table.name}".encode())
            self._connection.execute("DELETE FROM instance WHERE name = %s", [MARK])

    def _types(self, table: Table) -> list[int]:
        nothing = f"SELECT {table.listed_columns} FROM {table.name} LIMIT 0"  # noqa: S608
        with self._told():
            described = self._connection.execute(nothing.encode()).description
        return [column.type_code for column in described or ()]

    def _one(self, statement: str, values: Mapping[str, Any] | None = None) -> Any:
        with self._told():
            row = self._connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _told(self) -> Iterator[None]:
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
    """A database as it is now, whatever others write meanwhile.

    Raises:
        StorageError: it cannot be reached or used, or is of another schema.
    """
    with open_for_inspection(url) as connection:
        tables = PostgresTables(connection, url)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        _check_schema(connection, tables.place)
        yield tables


def _check_schema(connection: psycopg.Connection[Any], place: str) -> None:
    applied = applied_migrations(connection)
    known = [step.number for step in load_migrations("postgres")]
    if not applied:
        raise StorageError(f"{place} is not a database of Userkeep.")
    if max(applied) > known[-1]:
        raise StorageError(newer_database(place, max(applied), known[-1]))
    if set(applied) != set(known):
        raise StorageError(
            f"The schema of {place} is at step {max(applied)} of {known[-1]}: run `userkeep "
            "migrate` on it first."
        )


@contextmanager
def target(url: str) -> Iterator[PostgresTables]:
    """A database with its schema up to date, into which nobody else ports.

    Raises:
        StorageError: it cannot be reached or used, or is another program's.
    """
    with open_for_inspection(url) as connection:
        migrate(url)
        tables = PostgresTables(connection, url)
        _lock(connection, tables.place)
        yield tables


def _lock(connection: psycopg.Connection[Any], place: str) -> None:
    # The server needs a moment to notice that a port that was killed is gone.
    for _ in range(_LOCK_TRIES):
        [(is_ours,)] = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if is_ours:
            return
        sleep(_LOCK_PAUSE_S)
    raise StorageError(f"Another port into {place} is running; wait for its end.")
