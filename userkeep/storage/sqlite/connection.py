"""Connections to a SQLite file: their settings, and what their errors mean."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import addressof, c_int
from pathlib import Path

import apsw

from userkeep.domain.errors import StorageError, Unavailable, UserkeepError
from userkeep.storage.reports import Reports
from userkeep.storage.sqlite.descriptors import register

BUSY_TIMEOUT_MS = 5_000
MEMORY = ":memory:"
FILE_PROBLEM = "The database file cannot be used"

# Readers are opened later too, when the file may have disappeared: they must not create another.
_READER_FLAGS = apsw.SQLITE_OPEN_READWRITE
_WRITER_FLAGS = _READER_FLAGS | apsw.SQLITE_OPEN_CREATE

# Set on every connection and read back, because SQLite silently ignores a setting that it cannot
# apply.
# secure_delete: deleted content is overwritten; it is per connection and off by default.
# synchronous 2 (FULL): a commit is durable before it is reported.
# wal_autocheckpoint 0: the writer checkpoints when nothing waits.
_SETTINGS: dict[str, int | str] = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "foreign_keys": 1,
    "trusted_schema": 0,
    "wal_autocheckpoint": 0,
    "cache_size": -16_000,
}

# Readers map the file into memory: a point read among a million users takes 9 µs instead of 17.
_MMAP_BYTES = 1024 * 1024 * 1024


def connect(path: str, *, read_only: bool = False) -> apsw.Connection:
    """Open a connection with all settings.

    Raises:
        StorageError: explains what is wrong with the file and what to do.
    """
    connection = None
    try:
        connection = apsw.Connection(path, flags=_READER_FLAGS if read_only else _WRITER_FLAGS)
        register(connection, path)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        enable_stable_plans(connection)
        for name, value in _SETTINGS.items():
            _set(connection, name, value, path)
        if connection.readonly("main"):
            raise apsw.ReadOnlyError("the file was opened read-only")
        if read_only:
            connection.execute("PRAGMA query_only = 1")
            connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}").fetchall()
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, apsw.Error):
            raise StorageError(opening_problem(error, path)) from error
        raise
    return connection


def enable_stable_plans(connection: apsw.Connection) -> None:
    """Enable SQLite's query planner stability guarantee.

    Without it, binding a LIMIT makes SQLite plan the whole statement again.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def _set(connection: apsw.Connection, name: str, value: int | str, path: str) -> None:
    connection.execute(f"PRAGMA {name} = {value}").fetchall()
    applied = connection.pragma(name)
    expected = "memory" if name == "journal_mode" and path == MEMORY else value
    if applied != expected:
        raise StorageError(f"SQLite keeps {name} at {applied!r} on {path}; {expected!r} is needed.")


# The setting is global to the process.
_temporary_folder_lock = threading.Lock()


def keep_wal(connection: apsw.Connection) -> None:
    """Let the close of the last connection leave the WAL where it is."""
    is_kept = c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, addressof(is_kept))


@contextmanager
def temporary_files_beside(connection: apsw.Connection) -> Iterator[None]:
    """Let SQLite create its temporary files in the folder of the connection's file.

    That disk has room for a copy of the database, and the folder is as private as the database.
    """
    folder = Path(connection.filename).parent if connection.filename else None
    if folder is None:
        yield
        return
    with _temporary_folder_lock:
        _set_temporary_folder(connection, str(folder))
        try:
            yield
        finally:
            _set_temporary_folder(connection, "")


def _set_temporary_folder(connection: apsw.Connection, folder: str) -> None:
    quoted = folder.replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{quoted}'").fetchall()


def opening_problem(error: apsw.Error, path: str) -> str:
    """Explain to an operator why the file could not be used, and what to do."""
    folder = Path(path).resolve().parent
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return (
                f"{path} is not a SQLite database, or it is damaged. "
                "Use another file, or restore it from a backup; nothing was changed."
            )
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return f"{path} or its folder is read-only. Make both writable for this user."
        case apsw.CantOpenError():
            return (
                f"{path} cannot be opened. Check that the folder {folder} exists and that this "
                "user may read and write it and the file."
            )
        case apsw.BusyError() | apsw.LockedError():
            return (
                f"{path} is locked by another program. Close it there (a SQLite shell or browser "
                "with an open transaction, or a copy in progress), then start again."
            )
        case apsw.FullError():
            return f"The disk of {path} is full. Free some space, then start again."
        case apsw.IOError():
            return f"Reading or writing {path} failed ({error}). Check the disk."
        case _:
            return f"{path} cannot be opened: {error}."


def translate_error(error: apsw.Error, reports: Reports) -> UserkeepError | None:
    """Map a database error to a client-facing error; None if it is a bug.

    Args:
        reports: of what an operator must solve.
    """
    translated = _unavailable(error)
    if translated is not None and isinstance(error, _FOR_OPERATORS):
        reports.report(FILE_PROBLEM, translated.detail)
    return translated


_FOR_OPERATORS = (
    apsw.FullError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.IOError,
    apsw.CantOpenError,
)


def _unavailable(error: apsw.Error) -> Unavailable | None:
    match error:
        case apsw.FullError():
            return Unavailable("The disk of the database is full; nothing was changed.")
        case apsw.BusyError() | apsw.LockedError():
            return Unavailable("Another program has locked the database file; retry.")
        case apsw.ReadOnlyError():
            return Unavailable("The database file has become read-only; nothing was changed.")
        case apsw.InterruptError():
            return Unavailable("The operation was interrupted; nothing was changed.")
        case apsw.CorruptError() | apsw.NotADBError():
            return Unavailable("The database file is damaged; restore it from a backup.")
        case apsw.IOError() | apsw.CantOpenError() | apsw.NoMemError():
            return Unavailable("Reading or writing the database failed; nothing was changed.")
        case _:
            return None
