"""The files of a PostgreSQL server, where it runs on this machine and they may be read."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from userkeep.domain.verification import NotLookedAt
from userkeep.storage.engine import Files
from userkeep.storage.postgres.connection import connect, opening_problem
from userkeep.storage.raw_files import PlainFile

# A copy of the server has its identifier too; when it was started tells them apart.
_WHO = """
SELECT system_identifier, extract(epoch FROM pg_postmaster_start_time()), oid
FROM pg_control_system(), pg_database
WHERE datname = current_database()
"""
_STARTED_WITHIN_S = 10

_NOT_TOLD = (
    "The role that Userkeep connects as may not know where they are: it needs the rights of "
    "pg_read_all_settings."
)
_NOT_HERE = "They are not on this machine, as far as this process can see."
_NOT_ALLOWED = "This process may not read them."


def files_of(url: str) -> Files:
    """The files of the server at a URL; none, and the reason, where they cannot be read."""
    try:
        with connect(url) as connection:
            return _files(connection)
    except psycopg.errors.InsufficientPrivilege:
        return _none(_NOT_TOLD)
    except psycopg.Error as error:
        return _none(opening_problem(error, url))


def _files(connection: psycopg.Connection[Any]) -> Files:
    [(folder,)] = connection.execute("SELECT current_setting('data_directory')")
    [(identifier, started_at_s, database)] = connection.execute(_WHO)
    data = Path(folder)
    try:
        if not _is_of_server(data, int(identifier), float(started_at_s)):
            return _none(_NOT_HERE)
    except PermissionError:
        return _none(_NOT_ALLOWED)
    except (OSError, ValueError, IndexError):
        return _none(_NOT_HERE)
    others = NotLookedAt("other databases of the server", "They are not this instance's.")
    return Files(tuple(_files_in(data, str(database))), (others,))


def _none(why: str) -> Files:
    return Files((), (NotLookedAt("files of the PostgreSQL server", why),))


def _is_of_server(data: Path, identifier: int, started_at_s: float) -> bool:
    with (data / "global" / "pg_control").open("rb") as file:
        is_its = int.from_bytes(file.read(8), sys.byteorder) == identifier & 0xFFFFFFFFFFFFFFFF
    lines = (data / "postmaster.pid").read_text().splitlines()
    return is_its and abs(int(lines[2]) - started_at_s) <= _STARTED_WITHIN_S


def _files_in(data: Path, database: str) -> Iterator[PlainFile]:
    """All files but those of other databases; the log first, because what is in it goes there."""
    for folder, below, names in os.walk(data, followlinks=True):
        here = Path(folder)
        # base/16384, and pg_tblspc/16390/PG_18_202506291/16384.
        is_of_databases = here == data / "base" or here.parent.parent == data / "pg_tblspc"
        if is_of_databases:
            below[:] = [name for name in below if not name.isdecimal() or name == database]
        below.sort(key=lambda name: (name != "pg_wal", name))
        for name in sorted(names):
            path = here / name
            with suppress(OSError):  # it is gone
                if path.is_file():
                    yield PlainFile(path, str(path.relative_to(data)))
