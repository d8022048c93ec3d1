"""The files of a PostgreSQL server that runs on this machine, if this process may read them."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from userkeep.domain.verification import Skipped
from userkeep.storage.engine import Files
from userkeep.storage.postgres.nodes import other_nodes
from userkeep.storage.postgres.server import connect, opening_problem
from userkeep.storage.raw_files import PlainFile

# A copy of the server has the same identifier; the start time distinguishes them.
_IDENTITY = """
SELECT system_identifier, extract(epoch FROM pg_postmaster_start_time()), oid
FROM pg_control_system(), pg_database
WHERE datname = current_database()
"""
_START_TIME_TOLERANCE_S = 10

_UNKNOWN_FOLDER = (
    "Their location is unknown: the role that Userkeep connects as needs the privileges of "
    "pg_read_all_settings."
)
_NOT_FOUND = "They are not on this machine, or not visible to this process."
_NOT_READABLE = "This process lacks the permission to read them."


def files_of(url: str) -> Files:
    """Return the files of the server at a URL, or the reason why they cannot be read."""
    try:
        with connect(url) as connection:
            of_others = _of_other_nodes(connection)
            raw, skipped = _files_of_node(connection)
            return Files(raw, (*skipped, *of_others))
    except psycopg.Error as error:
        return _none(opening_problem(error, url))


def _files_of_node(connection: psycopg.Connection[Any]) -> Files:
    try:
        [(folder,)] = connection.execute("SELECT current_setting('data_directory')")
        [(identifier, started_at_s, database)] = connection.execute(_IDENTITY)
    except psycopg.errors.InsufficientPrivilege:
        return _none(_UNKNOWN_FOLDER)
    data = Path(folder)
    try:
        if not _is_of_server(data, int(identifier), float(started_at_s)):
            return _none(_NOT_FOUND)
    except PermissionError:
        return _none(_NOT_READABLE)
    except (OSError, ValueError, IndexError):
        return _none(_NOT_FOUND)
    others = Skipped("other databases of the server", "They do not belong to this instance.")
    return Files(tuple(_files_in(data, str(database))), (others,))


def _of_other_nodes(connection: psycopg.Connection[Any]) -> tuple[Skipped, ...]:
    nodes = other_nodes(connection)
    if nodes is None:
        return ()
    reason = (
        "Only those of the node that Userkeep connects to are read. They may contain deleted data."
    )
    return (Skipped(f"files of {nodes}", reason, is_gap=True),)


def _none(reason: str) -> Files:
    return Files((), (Skipped("files of the PostgreSQL server", reason, is_gap=True),))


def _is_of_server(data: Path, identifier: int, started_at_s: float) -> bool:
    with (data / "global" / "pg_control").open("rb") as file:
        is_same = int.from_bytes(file.read(8), sys.byteorder) == identifier & 0xFFFFFFFFFFFFFFFF
    lines = (data / "postmaster.pid").read_text().splitlines()
    return is_same and abs(int(lines[2]) - started_at_s) <= _START_TIME_TOLERANCE_S


def _files_in(data: Path, database: str) -> Iterator[PlainFile]:
    """Yield all files except those of other databases.

    The WAL comes first: its content is written to the other files. Data that moves while they are
    read is then found in one of them at least.
    """
    for root, folders, names in os.walk(data, followlinks=True):
        folder = Path(root)
        # base/16384, and pg_tblspc/16390/PG_18_202506291/16384.
        has_databases = folder == data / "base" or folder.parent.parent == data / "pg_tblspc"
        if has_databases:
            folders[:] = [name for name in folders if not name.isdecimal() or name == database]
        folders.sort(key=lambda name: (name != "pg_wal", name))
        for name in sorted(names):
            path = folder / name
            with suppress(OSError):  # the file was deleted
                if path.is_file():
                    yield PlainFile(path, str(path.relative_to(data)))
