"""Opening a SQLite file read-only: no lock file, no migration, and no file is created or changed.

A file that another process writes has a write-ahead log (WAL) beside it, and is read with SQLite's
own locks. A file that no process has open has none. To lock such a file, SQLite would create a WAL
and its shared memory, and a read-only connection cannot remove them. So it is read without locks,
as an immutable file; who reads it must check afterwards that it is still unchanged.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.sqlite.connection import (
    BUSY_TIMEOUT_MS,
    enable_stable_plans,
    opening_problem,
)
from userkeep.storage.sqlite.descriptors import register
from userkeep.storage.sqlite.files import real_path

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_VFS_FLAGS = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
_WRITE_VERSION = 18
_WRITE_VERSION_OF_WAL_MODE = b"\x02"

_SETTINGS = """
PRAGMA query_only = 1;
PRAGMA trusted_schema = 0;
PRAGMA cache_size = -16000
"""


class FileVersion(NamedTuple):
    """The content of a file that no process has open; it has another version when it was written.

    Every write creates a WAL first, and reaches the file itself only while the WAL exists.
    """

    inode: int
    size_bytes: int
    modified_ns: int


def version_if_unused(path: str) -> FileVersion | None:
    """Return the version of a file in WAL mode that has no WAL; None if it may be in use.

    Args:
        path: without symbolic links: SQLite creates the WAL beside the file itself.
    """
    try:
        status = Path(path).stat()
        write_version = _read_write_version(path)
    except (OSError, apsw.Error):
        return None
    # Checked last: a write that begins after this check makes another version.
    if write_version != _WRITE_VERSION_OF_WAL_MODE or Path(f"{path}-wal").exists():
        return None
    return FileVersion(status.st_ino, status.st_size, status.st_mtime_ns)


@contextmanager
def open_read_only(path: str) -> Iterator[apsw.Connection]:
    """Open a file read-only, for a short look at it.

    Raises:
        StorageError: explains what is wrong with the file and what to do.
    """
    real = real_path(path)
    try:
        connection = connect_read_only(real, version_if_unused(real))
        try:
            yield connection
        finally:
            connection.close()
    except apsw.Error as error:
        raise StorageError(reading_problem(error, path)) from error


def connect_read_only(path: str, version: FileVersion | None) -> apsw.Connection:
    """Open a file read-only.

    Args:
        path: without symbolic links.
        version: of a file that is not in use; it is read without locks.

    Raises:
        apsw.Error: see reading_problem.
    """
    suffix = "" if version is None else "?immutable=1"
    connection = apsw.Connection(f"file:{quote(path)}{suffix}", flags=_FLAGS)
    try:
        register(connection, path)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        enable_stable_plans(connection)
        connection.execute(_SETTINGS)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_problem(error: apsw.Error, path: str) -> str:
    """Explain to an operator why the file could not be read, and what to do."""
    if not isinstance(error, apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
        return opening_problem(error, path)
    if Path(f"{os.path.realpath(path)}-wal").exists():
        return (
            f"{path} was not closed cleanly, and its write-ahead log {path}-wal cannot be read "
            "in a read-only folder. Make the folder writable for this user, or copy both files to "
            "another one."
        )
    return f"{path} cannot be opened. Check that it is a file that this user may read."


def _read_write_version(path: str) -> bytes:
    # Through SQLite's VFS: opening and closing the file directly would drop the locks that SQLite
    # has on it in this process.
    file = apsw.VFSFile("", path, _VFS_FLAGS)
    try:
        return file.xRead(1, _WRITE_VERSION)
    finally:
        file.xClose()
