"""A compact copy of a SQLite file as of one moment, beside the process that writes the file.

`VACUUM INTO` writes only the rows that are there: nothing of deleted ones, which the pages of the
file keep until a purge. The copy is not encrypted, so it has a name only until SQLite has opened
it: from then on it exists for this process alone, and the operating system frees it however the
process ends.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import apsw

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.values.times import Instant
from userkeep.storage.checks import COPY_SOURCE
from userkeep.storage.clock import system_time
from userkeep.storage.migrations import check_history, load_migrations
from userkeep.storage.private_files import create_private
from userkeep.storage.sqlite.connection import opening_problem
from userkeep.storage.sqlite.files import check_is_file, real_path
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.storage.sqlite.read_only import (
    connect_read_only,
    reading_problem,
    version_if_unused,
)

_PROGRESS_EVERY = 5_000
"""Of the instructions of SQLite's virtual machine: about a millisecond."""

_ATTEMPTS = 5
_ABANDONED_AFTER_S = 60.0
_CHANGED = "Other processes opened and closed the database during every attempt to copy it; retry."


class Snapshot(NamedTuple):
    """A copy of a database.

    Attributes:
        file: open for reading, at its begin.
        size_bytes: its size.
        created_at: the database is as it was at this time, or a moment later.
        schema_version: the number of its last migration.
        fingerprint: of the secret that it is bound to.
    """

    file: BinaryIO
    size_bytes: int
    created_at: Instant
    schema_version: int
    fingerprint: str


class _State(NamedTuple):
    schema_version: int
    fingerprint: str


@contextmanager
def take_snapshot(path: str, report: Callable[[int, int], None]) -> Iterator[Snapshot]:
    """Copy a database, whether or not another process, or this one, has it open.

    The copy needs the space of the database once more, in its folder.

    Args:
        path: of the database.
        report: called with the bytes that are copied, and with about how many there are; what it
            raises ends the copy.

    Raises:
        StorageError: the file does not exist, is not an instance of this program, or cannot be
            read, or the disk is full.
    """
    check_is_file(path)
    if not Path(path).exists():
        raise StorageError(f"Database {path} does not exist.")
    real = real_path(path)
    remove_abandoned(real)
    for _ in range(_ATTEMPTS):
        name = Path(f"{real}.snapshot-{secrets.token_hex(8)}.part")
        with _create(name, path) as file:
            created_at = system_time()
            state = _copy(path, real, name, file, report)
            if state is not None:
                yield Snapshot(file, os.fstat(file.fileno()).st_size, created_at, *state)
                return
    raise Unavailable(_CHANGED)


def remove_abandoned(real: str) -> None:
    """Remove what a process has left that was killed before its copy had no name any more."""
    for each in abandoned(real):
        with suppress(OSError):
            if each.stat().st_mtime < time.time() - _ABANDONED_AFTER_S:
                each.unlink()


def abandoned(real: str) -> list[Path]:
    """Return the copies of a database that still have a name."""
    path = Path(real)
    return sorted(path.parent.glob(f"{_escaped(path.name)}.snapshot-*.part"))


def _escaped(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


@contextmanager
def _create(name: Path, path: str) -> Iterator[BinaryIO]:
    try:
        descriptor = create_private(name)
    except OSError as error:
        raise StorageError(
            f"The folder of {path} is not writable ({error.strerror}): a backup makes a copy there."
        ) from error
    try:
        with os.fdopen(descriptor, "rb") as file:
            yield file
    finally:
        name.unlink(missing_ok=True)


def _copy(
    path: str, real: str, name: Path, file: BinaryIO, report: Callable[[int, int], None]
) -> _State | None:
    """Copy the database into a file; return its state, or None if it changed past all locks."""
    version = version_if_unused(real)
    try:
        connection = connect_read_only(real, version)
        try:
            connection.execute("PRAGMA query_only = 0")  # the copy is written to
            before = _state(connection, path)
            _vacuum_into(connection, name, file, report)
            after = _state(connection, path)
        finally:
            connection.close()
    except apsw.Error as error:
        raise _translated(error, path) from error
    is_unchanged = version is None or version_if_unused(real) == version
    return after if is_unchanged and before == after else None


def _vacuum_into(
    connection: apsw.Connection, name: Path, file: BinaryIO, report: Callable[[int, int], None]
) -> None:
    pages = connection.pragma("page_count") - connection.pragma("freelist_count")
    total = pages * connection.pragma("page_size")

    def progress() -> bool:
        name.unlink(missing_ok=True)  # SQLite has opened it
        report(os.fstat(file.fileno()).st_size, total)
        return False  # continue

    connection.set_progress_handler(progress, _PROGRESS_EVERY)
    try:
        connection.execute("VACUUM INTO ?", (str(name),))
    finally:
        connection.set_progress_handler(None)
        name.unlink(missing_ok=True)


def _state(connection: apsw.Connection, path: str) -> _State:
    applied = applied_migrations(connection)
    if not applied:
        raise StorageError(f"{path} is not a Userkeep database.")
    check_history(path, applied, load_migrations("sqlite"))
    if connection.execute(COPY_SOURCE).fetchall():
        raise StorageError(f"{path} is an incomplete copy. Complete it first, or back up another.")
    fingerprint = connection.execute(
        "SELECT value FROM instance WHERE name = 'secret_fingerprint'"
    ).get
    if fingerprint is None:
        raise StorageError(f"{path} was never opened with a secret: there is nothing to back up.")
    return _State(max(applied), fingerprint)


def _translated(error: apsw.Error, path: str) -> StorageError:
    if isinstance(error, apsw.FullError):
        return StorageError(opening_problem(error, path))
    return StorageError(reading_problem(error, path))
